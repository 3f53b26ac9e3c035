"""The service with its history in PostgreSQL behind a real PgBouncer in transaction mode."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.pgbouncer import PROGRAM, WITHOUT, PgBouncer
from tests.servers.postgresql import PASSWORD, PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=WITHOUT)


@pytest.fixture(scope="module")
def running(
    postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Two processes, with more connections to the pooler than it has to the server."""
    pool = {"default_pool_size": "4"}
    with PgBouncer(postgresql, **pool) as bouncer, QdrantServer() as qdrant:
        settings = {
            "DATABASE_URL": bouncer.before(postgresql.database()),
            "QDRANT_URL": qdrant.url,
            "WEB_CONCURRENCY": "2",
            "FLUSH_SECONDS": "0.2",
        }
        folder = tmp_path_factory.mktemp("pooler") / "data"
        with Service(folder, **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)
            yield service
        log = service.log.read_text()
        assert "Traceback" not in log
        assert PASSWORD not in log


def test_the_nine_routes_work(running: Service, user: str) -> None:
    kept = running.ask("add", data="I like tea", user_id=user)["result"]
    gone = running.ask("add", data="I like milk", user_id=user)["result"]
    assert running.ask("get", memory_id=kept)["memory"] == "I like tea"
    assert running.ask("search", query="tea", user_id=user)["results"][0]["id"] == kept
    running.ask("update", memory_id=kept, data="I like green tea")
    running.ask("delete", memory_id=gone)
    assert running.ask("get_all", user_id=user)["total"] == 1
    assert running.ask("delete_all", user_id=user)["deleted"] == 1
    rows = running.ask("history", memory_id=kept)["results"]
    assert [row["event"] for row in rows] == ["ADD", "UPDATE", "DELETE"]
    running.ask("add", data="again", user_id=user)
    assert running.ask("reset")["deleted"] == 1


def test_many_write_at_once_and_a_key_that_many_send_stores_once(
    running: Service, user: str
) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    def add(number: int) -> str:
        given = {} if number % 3 else {"headers": headers}
        text = f"note {number}" if number % 3 else "tea"
        answer = running.post("add", {"data": text, "user_id": user}, **given)
        assert answer.status_code == 201, answer.text
        result: str = answer.json()["result"]
        return result

    with ThreadPoolExecutor(8) as pool:
        ids = {*pool.map(add, range(60))}
    assert len(ids) == 41
    assert running.ask("get_all", user_id=user)["total"] == 41
