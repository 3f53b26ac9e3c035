"""On a Qdrant server: several processes, collections that mem0 made, keys, down at start."""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient, models

from app.security.scopes import SCOPE_KEYS
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for


@pytest.fixture
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


def test_four_processes_make_one_collection_at_the_same_moment(
    tmp_path: Path, qdrant: QdrantServer
) -> None:
    held = qdrant.fault(method="PUT", delay=60)  # until two have found none and want to make it
    settings = {"QDRANT_URL": qdrant.url, "QDRANT_TIMEOUT": "60", "WEB_CONCURRENCY": "4"}
    with Service(tmp_path / "data", **settings) as service:
        wait_for(lambda: len([r for r in qdrant.requests if made(r)]) >= 2, 60)
        held.clear()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        with ThreadPoolExecutor(8) as pool:
            adds = [
                pool.submit(service.post, "add", {"data": f"note {n}", "user_id": "a"})
                for n in range(80)
            ]
            assert {add.result().status_code for add in adds} == {201}
        assert service.ask("get_all", user_id="a")["total"] == 80
    info = qdrant.client.get_collection("memories")
    assert info.config.metadata == {"embedder": "local/multilingual-e5-small"}
    indexed = {r.body["field_name"] for r in qdrant.requests if r.path.endswith("/index")}
    assert indexed == {*SCOPE_KEYS, "hash", "created_at", "expiration_date"}


def made(request: object) -> bool:
    return (request.method, request.path) == ("PUT", "/collections/memories")  # type: ignore[attr-defined]


def test_several_processes_are_refused_on_the_embedded_engine(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", WEB_CONCURRENCY="2")
    assert service.launch().wait(timeout=20) != 0
    assert "WEB_CONCURRENCY: the embedded engine serves one process" in service.log.read_text()


def test_host_and_port_will_do(tmp_path: Path, qdrant: QdrantServer) -> None:
    address = {"QDRANT_HOST": "127.0.0.1", "QDRANT_PORT": str(qdrant.port)}
    with Service(tmp_path / "data", **address, QDRANT_COLLECTION="mine") as service:
        service.ask("add", data="x", user_id="a")
    assert qdrant.client.count("mine").count == 1
    assert not (tmp_path / "data" / "qdrant").exists()


def test_a_key_is_sent_and_a_wrong_one_told(tmp_path: Path) -> None:
    with QdrantServer(api_key="a-right-key") as qdrant:
        settings = {"QDRANT_URL": qdrant.url}
        with Service(tmp_path / "data", **settings, QDRANT_API_KEY="a-right-key") as service:
            service.ask("add", data="x", user_id="a")
        with Service(tmp_path / "data", **settings, QDRANT_API_KEY="another-key") as service:
            response = service.post("get_all")
            assert (response.status_code, response.json()["code"]) == (
                503,
                "vector_store_unavailable",
            )
            assert "QDRANT_API_KEY" in response.json()["detail"]
            assert "another-key" not in service.log.read_text()


def test_starts_without_the_server_and_works_when_it_comes(
    tmp_path: Path, qdrant: QdrantServer
) -> None:
    qdrant.stop()
    with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
        assert service.http.get("/ready").status_code == 503
        assert service.post("add", {"data": "x", "user_id": "a"}).status_code == 503
        qdrant.start()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        service.ask("add", data="x", user_id="a")
        assert service.ask("get_all")["total"] == 1


class TestMadeByMem0:
    """A collection that mem0's own class made, and filled."""

    def fill(self, qdrant: QdrantServer, *, with_words: bool) -> str:
        client = QdrantClient(url=qdrant.url, check_compatibility=False)
        if not with_words:  # as mem0 made them before its version 3
            client.create_collection(
                "memories",
                vectors_config=models.VectorParams(size=384, distance=models.Distance.COSINE),
            )
        theirs = Qdrant("memories", 384, client=client)
        theirs._bm25_encoder = False
        memory_id = str(uuid.uuid4())
        payload = {
            "data": "I like tea",
            "text_lemmatized": "I like tea",
            "hash": "0",
            "user_id": "alice",
            "created_at": "2026-01-01T00:00:00+00:00",
            "updated_at": "2026-01-01T00:00:00+00:00",
            "mood": "calm",
        }
        theirs.insert([[1.0] + [0.0] * 383], [payload], [memory_id])
        client.close()
        return memory_id

    @pytest.mark.parametrize("with_words", [True, False])
    def test_opens(self, tmp_path: Path, qdrant: QdrantServer, with_words: bool) -> None:
        memory_id = self.fill(qdrant, with_words=with_words)
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            memory = service.ask("get_all", user_id="alice")["results"][0]
            assert (memory["id"], memory["metadata"]) == (memory_id, {"mood": "calm"})
            assert service.ask("search", query="tea", user_id="alice")["results"]
            assert service.ask("history", memory_id=memory_id)["results"] == []
            service.ask("add", data="I like green tea", user_id="alice")
            assert service.ask("get_all", user_id="alice")["total"] == 2

    def test_without_words_it_warns_once_and_reembed_adds_them(
        self, tmp_path: Path, qdrant: QdrantServer
    ) -> None:
        from tests.wire.test_embedder_change import reembed

        memory_id = self.fill(qdrant, with_words=False)
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            for _ in range(3):
                found = service.ask("search", query="tea", user_id="alice", explain=True)
                assert found["results"][0]["keyword"] == 0
            assert service.log.read_text().count("is searched by meaning alone") == 1
            service.stop()
            done = reembed(service)
            assert done.returncode == 0, done.stderr
            service.start()
            found = service.ask("search", query="tea", user_id="alice", explain=True)["results"]
            assert (found[0]["id"], found[0]["keyword"]) == (memory_id, 1)


def test_four_processes_wait_while_a_fifth_holds_the_history_for_10_s(
    tmp_path: Path, qdrant: QdrantServer
) -> None:
    settings = {"QDRANT_URL": qdrant.url, "WEB_CONCURRENCY": "4"}
    with Service(tmp_path / "data", **settings) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        fifth = sqlite3.connect(tmp_path / "data" / "history.db", isolation_level=None)
        fifth.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(8) as pool:
            adds = [
                pool.submit(service.post, "add", {"data": f"note {n}", "user_id": "a"})
                for n in range(8)
            ]
            threading.Event().wait(10)  # the time itself is what is tested
            assert not any(add.done() for add in adds)
            fifth.execute("ROLLBACK")
            fifth.close()
            assert [add.result().status_code for add in adds] == [201] * 8
        assert service.ask("get_all", user_id="a")["total"] == 8


class TestWordsOfOthers:
    """Counting words in the caller's scope alone needs Qdrant 1.19."""

    def corpora(self, qdrant: QdrantServer) -> list[object]:
        """What each query by words has asked for."""
        return [
            (query.get("params") or {}).get("idf")
            for request in qdrant.requests
            if request.path.endswith("/query/batch")
            for query in request.body["searches"]
            if query.get("using") == "bm25"
        ]

    def test_are_not_counted(self, tmp_path: Path, qdrant: QdrantServer) -> None:
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            service.ask("add", data="tea", user_id="alice", run_id="r")
            service.ask("search", query="tea", user_id="alice", filters={"a": "x"})
            service.ask("search", query="tea")
            asked = [request for request in qdrant.requests if request.path == "/"]
            assert len(asked) == 1
            assert "before 1.19" not in service.log.read_text()
        mine = {"must": [{"key": "user_id", "match": {"value": "alice"}}]}
        assert self.corpora(qdrant) == [{"corpus": mine}, None]

    @pytest.mark.parametrize("version", ["1.18.2", "1.9.0", "dev"])
    def test_are_counted_by_an_older_server_and_it_is_told_once(
        self, tmp_path: Path, version: str
    ) -> None:
        with (
            QdrantServer(version=version) as qdrant,
            Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service,
        ):
            service.ask("add", data="tea", user_id="alice")
            for _ in range(3):
                assert service.ask("search", query="tea", user_id="alice")["results"]
            assert self.corpora(qdrant) == [None] * 3
            assert service.log.read_text().count(f"is of version {version}: before 1.19") == 1

    @pytest.mark.parametrize("status", [403, 404])
    def test_are_counted_where_the_version_cannot_be_asked(
        self, tmp_path: Path, qdrant: QdrantServer, status: int
    ) -> None:
        qdrant.fault("/", method="GET", status=status)
        qdrant.fault("/collections", method="GET")
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            service.ask("add", data="tea", user_id="alice")
            assert service.ask("search", query="tea", user_id="alice")["results"]
            assert "is of version unknown: before 1.19" in service.log.read_text()


def test_memories_with_keys_that_are_refused_now_can_be_read_and_changed(
    tmp_path: Path, qdrant: QdrantServer
) -> None:
    with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
        memory_id = service.ask("add", data="tea", user_id="a", metadata={"b": 1})["result"]
        old = {"a.b": "x", "AND": 1, "deep": {'"': {"": 2}}}
        qdrant.client.set_payload("memories", old, points=[memory_id])
        assert service.ask("get", memory_id=memory_id)["metadata"] == {"b": 1, **old}
        service.ask("update", memory_id=memory_id, metadata={"b": 2, "deep": {"c": 3}})
        service.ask("update", memory_id=memory_id, data="green tea")
        memory = service.ask("get_all", user_id="a", filters={"deep.c": 3})["results"][0]
        assert memory["memory"] == "green tea"
        assert memory["metadata"] == {"b": 2, "a.b": "x", "AND": 1, "deep": {"c": 3}}
