"""Several processes of one service, on a Qdrant server: started, held up, stopped and killed."""

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.security.scopes import SCOPE_KEYS
from app.storage.vectors.bm25 import VERSION
from tests.metrics import value
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for
from tests.wire.test_metrics import REQUESTS, Rise, ask_from_many, two_workers


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, QdrantServer]]:
    """Four processes, of which several wanted to make the collection at the same moment."""
    settings = {"QDRANT_TIMEOUT": "60", "WEB_CONCURRENCY": "4"}
    folder = tmp_path_factory.mktemp("four")
    with QdrantServer() as qdrant:
        held = qdrant.fault(method="PUT", delay=60)  # until two have found none
        with Service(folder / "data", QDRANT_URL=qdrant.url, **settings) as service:
            wait_for(lambda: len([r for r in qdrant.requests if made(r)]) >= 2, 60)
            held.clear()
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield service, qdrant


def test_four_processes_make_one_collection_at_the_same_moment(
    four: tuple[Service, QdrantServer],
) -> None:
    service, qdrant = four
    with ThreadPoolExecutor(8) as pool:
        adds = [
            pool.submit(service.post, "add", {"data": f"note {n}", "user_id": "a"})
            for n in range(80)
        ]
        assert {add.result().status_code for add in adds} == {201}
    assert service.ask("get_all", user_id="a")["total"] == 80
    info = qdrant.client.get_collection("memories")
    assert info.config.metadata == {"embedder": "local/multilingual-e5-small", "words": VERSION}
    indexed = {r.body["field_name"] for r in qdrant.requests if r.path.endswith("/index")}
    assert indexed == {*SCOPE_KEYS, "hash", "created_at", "expiration_date"}


def test_four_processes_wait_while_a_fifth_holds_the_history_for_10_s(
    four: tuple[Service, QdrantServer],
) -> None:
    service, _ = four
    fifth = sqlite3.connect(service.data_dir / "history.db", isolation_level=None)
    fifth.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(8) as pool:
        adds = [
            pool.submit(service.post, "add", {"data": f"note {n}", "user_id": "b"})
            for n in range(8)
        ]
        threading.Event().wait(10)  # the time itself is what is tested
        assert not any(add.done() for add in adds)
        fifth.execute("ROLLBACK")
        fifth.close()
        assert [add.result().status_code for add in adds] == [201] * 8
    assert service.ask("get_all", user_id="b")["total"] == 8


def test_of_changes_of_one_memory_through_four_processes_none_is_lost(
    four: tuple[Service, QdrantServer],
) -> None:
    service, _ = four
    memory_id = service.ask("add", data="tea", user_id="c", infer=False)["result"]

    def change(key: str) -> int:
        body = {"memory_id": memory_id, "metadata": {key: key}}
        return service.post("update", body).status_code

    keys = [f"key{n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(change, keys)} == {200}
    assert sorted(service.ask("get", memory_id=memory_id)["metadata"]) == sorted(keys)
    events = [row["event"] for row in service.ask("history", memory_id=memory_id)["results"]]
    assert events == ["ADD"] + ["UPDATE"] * 40


def made(request: object) -> bool:
    return (request.method, request.path) == ("PUT", "/collections/memories")  # type: ignore[attr-defined]


# ---- what is counted of them


@pytest.fixture(scope="module")
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, qdrant: QdrantServer) -> Iterator[Service]:
    with two_workers(tmp_path_factory.mktemp("several") / "data", qdrant) as service:
        yield service


def test_workers_keep_what_a_killed_one_counted_and_forget_what_it_was_doing(
    several: Service, qdrant: QdrantServer
) -> None:
    answered = Rise(several, REQUESTS, route="/memory/get_all", status="200")
    ask_from_many(several, 30)
    with ThreadPoolExecutor(6) as pool:
        hanging = qdrant.fault("/collections/memories/points/scroll", hang=True)
        cut_off = [pool.submit(several.post, "get_all", {"user_id": "a"}) for _ in range(6)]
        wait_for(lambda: value(several, "http_requests_in_flight") == 7)
        workers = several.workers()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(set(several.workers()) - set(workers)) == 2)
        hanging.clear()
        assert all(one.exception() for one in cut_off)
    wait_for(lambda: value(several, "http_requests_in_flight") == 1)
    assert answered() == 30


def test_workers_leave_nothing_behind_and_start_from_nothing(several: Service) -> None:
    ask_from_many(several, 1)
    folder = f"memory-service-metrics-{several.process.pid}-*"
    [shared] = [*Path("/dev/shm").glob(folder), *Path("/tmp").glob(folder)]  # noqa: S108
    several.stop()
    assert not shared.exists()
    several.start()
    assert value(several, REQUESTS, route="/memory/get_all") == 0
