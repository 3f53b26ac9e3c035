"""The service with its history in PostgreSQL and its vectors on a Qdrant server, two processes."""

import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.postgresql import PASSWORD, PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


class Deployment(NamedTuple):
    service: Service
    postgresql: PostgreSQLServer
    url: str


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with PostgreSQLServer() as postgresql, QdrantServer() as qdrant:
        url = postgresql.database()
        settings = {"QDRANT_URL": qdrant.url, "DATABASE_URL": url, "WEB_CONCURRENCY": "2"}
        folder = tmp_path_factory.mktemp("postgresql") / "data"
        with Service(folder, FLUSH_SECONDS="0.2", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)
            yield Deployment(service, postgresql, url)
        assert "Traceback" not in service.log.read_text()
        assert PASSWORD not in service.log.read_text()


@pytest.fixture
def running(deployment: Deployment) -> Service:
    return deployment.service


def test_the_nine_routes_work(running: Service, user: str) -> None:
    kept = running.ask("add", data="I like tea", user_id=user)["result"]
    gone = running.ask("add", data="I like milk", user_id=user)["result"]
    assert running.ask("get", memory_id=kept)["memory"] == "I like tea"
    assert running.ask("search", query="tea", user_id=user)["results"][0]["id"] == kept
    changed = running.ask("update", memory_id=kept, data="I like green tea")["result"]
    assert changed["memory"] == "I like green tea"
    running.ask("delete", memory_id=gone)
    assert running.ask("get_all", user_id=user)["total"] == 1
    assert running.ask("delete_all", user_id=user)["deleted"] == 1
    histories = {
        id_: [row["event"] for row in running.ask("history", memory_id=id_)["results"]]
        for id_ in (kept, gone)
    }
    assert histories == {kept: ["ADD", "UPDATE", "DELETE"], gone: ["ADD", "DELETE"]}
    running.ask("add", data="again", user_id=user)
    assert running.ask("reset")["deleted"] == 1
    assert running.post("history", {"memory_id": kept}).status_code == 404


def test_nothing_is_left_in_a_file_but_what_it_needs_to_run(running: Service) -> None:
    assert not [path for path in running.data_dir.rglob("*") if path.name.startswith("history.db")]
    assert not (running.data_dir / "processes").exists()


def test_a_key_that_many_send_at_once_stores_once(running: Service, user: str) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"data": "I like tea", "user_id": user}
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(running.post, "add", body, headers=headers) for _ in range(8)]
        answers = [one.result() for one in sent]
    assert {answer.json()["result"] for answer in answers} == {answers[0].json()["result"]}
    assert running.ask("get_all", user_id=user)["total"] == 1


def test_many_adds_at_once_have_each_its_history(running: Service, user: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [
            one["result"]
            for one in pool.map(lambda n: running.ask("add", data=f"{n}", user_id=user), range(40))
        ]
    for id_ in ids:
        [row] = running.ask("history", memory_id=id_)["results"]
        assert row["event"] == "ADD"


def test_a_text_with_nul_is_stored_changed_and_deleted(running: Service, user: str) -> None:
    text = "tea\0 or milk"
    id_ = running.ask("add", data=text, user_id=user, metadata={"a": "b\0c"})["result"]
    assert running.ask("get", memory_id=id_)["memory"] == text
    running.ask("update", memory_id=id_, data="milk\0")
    running.ask("delete", memory_id=id_)
    rows = running.ask("history", memory_id=id_)["results"]
    assert [row["old_memory"] for row in rows] == [None, "tea␀ or milk", "milk␀"]


def test_an_add_may_be_a_job(running: Service, user: str) -> None:
    body = {"data": "I like tea", "user_id": user}
    accepted = running.post("add", body, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    job = f"/jobs/{accepted.json()['job']}"
    wait_for(lambda: running.http.get(job).json()["status"] == "succeeded")
    assert running.ask("get_all", user_id=user)["total"] == 1


def test_a_purge_tells_what_postgresql_keeps(running: Service, user: str) -> None:
    running.ask("add", data="quicksilver", user_id=user)
    left = running.ask("delete_all", user_id=user, purge=True)["left"]
    assert "VACUUM" in {one["where"]: one["detail"] for one in left}["history"]


def test_while_postgresql_is_away_it_says_so_and_then_goes_on(
    deployment: Deployment, user: str
) -> None:
    running, postgresql, _ = deployment
    kept = running.ask("add", data="I like tea", user_id=user)["result"]
    postgresql.stop(signal.SIGQUIT)
    refused = running.post("add", {"data": "x", "user_id": user})
    assert (refused.status_code, refused.json()["code"]) == (503, "history_unavailable")
    assert "PostgreSQL does not answer" in refused.json()["detail"]
    assert running.ask("get", memory_id=kept)["id"] == kept
    for route, asked in (("get_all", {}), ("search", {"query": "tea"})):
        assert [one["id"] for one in running.ask(route, user_id=user, **asked)["results"]] == [kept]
    users = running.http.get("/scopes").json()["users"]  # counted by Qdrant meanwhile
    assert {"id": user, "memories": 1} in users
    ready = wait_for(lambda: (r := running.http.get("/ready")).status_code == 503 and r.json())
    assert "DATABASE_URL" in ready["checks"]["history"]["detail"]
    postgresql.start()
    wait_for(lambda: running.post("add", {"data": "y", "user_id": user}).status_code == 201, 30)
    assert [row["event"] for row in running.ask("history", memory_id=kept)["results"]] == ["ADD"]
    wait_for(lambda: running.http.get("/ready").json()["status"] == "ok", 30)
    assert running.ask("get_all", user_id=user)["total"] == 2


@pytest.mark.soak
def test_a_standby_is_read_and_ready_says_what_it_does_not_take(
    deployment: Deployment, user: str
) -> None:
    running, postgresql, url = deployment
    kept = running.ask("add", data="I like tea", user_id=user)["result"]
    alter = "ALTER ROLE postgres SET default_transaction_read_only ="
    postgresql.sql(url, f"{alter} on")
    postgresql.sql(url, CUT_OFF)
    refused = running.post("add", {"data": "x", "user_id": user})
    assert (refused.status_code, refused.json()["code"]) == (503, "history_unavailable")
    assert "PostgreSQL is read-only" in refused.json()["detail"]
    assert running.ask("get_all", user_id=user)["total"] == 1
    assert [row["event"] for row in running.ask("history", memory_id=kept)["results"]] == ["ADD"]
    ready = wait_for(lambda: (r := running.http.get("/ready").json())["status"] != "ok" and r, 30)
    assert ready["status"] == "degraded"
    assert "PostgreSQL is read-only" in ready["checks"]["lease"]["detail"]
    postgresql.sql(f"{url}?options=-cdefault_transaction_read_only%3Doff", f"{alter} off")
    wait_for(lambda: running.post("add", {"data": "y", "user_id": user}).status_code == 201, 30)
    wait_for(lambda: running.http.get("/ready").json()["status"] == "ok", 30)


def test_a_wrong_user_ends_the_start_in_words_without_the_password(
    tmp_path: Path, postgresql: PostgreSQLServer
) -> None:
    settings = {"QDRANT_URL": "http://127.0.0.1:1"}
    url = postgresql.url("postgres", user="who")
    service = Service(tmp_path / "data", DATABASE_URL=url, **settings)
    assert service.launch().wait(timeout=30) != 0
    log = service.log.read_text()
    assert "refuses the user or the password of DATABASE_URL" in log
    assert PASSWORD not in log
    assert "Traceback" not in log
