"""On a Qdrant server: keys, down at start, not its own, collections that mem0 made.

Several processes on one: tests/soak/test_processes.py.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient, models

from tests.cli import reembed
from tests.servers.qdrant import QdrantServer, corpora
from tests.service import Service, wait_for


@pytest.fixture
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


def test_several_processes_are_refused_on_the_embedded_engine(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", WEB_CONCURRENCY="2")
    assert service.launch().wait(timeout=20) != 0
    assert "WEB_CONCURRENCY: the embedded engine serves one process" in service.log.read_text()


@pytest.fixture(scope="module")
def keyed() -> Iterator[QdrantServer]:
    with QdrantServer(api_key="a-right-key") as server:
        yield server


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, keyed: QdrantServer) -> Iterator[Service]:
    """By host and port, with a key, on a collection of another name."""
    address = {"QDRANT_HOST": "127.0.0.1", "QDRANT_PORT": str(keyed.port)}
    own = {"QDRANT_API_KEY": "a-right-key", "QDRANT_COLLECTION": "mine"}
    with Service(tmp_path_factory.mktemp("mine") / "data", **address, **own) as service:
        yield service


def test_host_and_port_key_and_collection_are_used(mine: Service, keyed: QdrantServer) -> None:
    before = keyed.client.count("mine").count if keyed.client.collection_exists("mine") else 0
    mine.ask("add", data="x", user_id="a")
    assert keyed.client.count("mine").count == before + 1
    assert not (mine.data_dir / "qdrant").exists()


WRONG_KEY = "another-key"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, QdrantServer]]:
    """A service that was started while its Qdrant server was down."""
    qdrant = QdrantServer().start()
    qdrant.stop()  # its port stays its own
    settings = {"QDRANT_URL": qdrant.url, "QDRANT_API_KEY": WRONG_KEY}
    with Service(tmp_path_factory.mktemp("unprepared") / "data", **settings) as service:
        yield service, qdrant
    qdrant.stop()


@pytest.fixture
def unprepared(started: tuple[Service, QdrantServer]) -> Iterator[tuple[Service, QdrantServer]]:
    """The server is down before and after each test, and what is on it is gone."""
    yield started
    _, qdrant = started
    qdrant.stop()
    qdrant.clear_faults()
    qdrant.api_key = None
    qdrant.wipe()


def test_a_wrong_key_is_told(unprepared: tuple[Service, QdrantServer]) -> None:
    service, qdrant = unprepared
    qdrant.api_key = "a-right-key"
    qdrant.start()
    response = service.post("get_all")
    assert (response.status_code, response.json()["code"]) == (503, "vector_store_unavailable")
    assert "QDRANT_API_KEY" in response.json()["detail"]
    assert WRONG_KEY not in service.log.read_text()


def named_vectors(qdrant: QdrantServer) -> None:
    qdrant.api_key = "of-somebody-else"  # so that the service does not come first
    qdrant.start()
    vectors = {"fast-bge-small-en": {"size": 384, "distance": "Cosine"}}
    address, headers = f"{qdrant.url}/collections/memories", {"api-key": qdrant.api_key}
    httpx.put(address, json={"vectors": vectors}, headers=headers).raise_for_status()
    qdrant.api_key = None


def login_page(qdrant: QdrantServer) -> None:
    qdrant.fault(raw=b"<html>Please log in</html>")


@pytest.mark.parametrize(
    ("found", "words"), [(named_vectors, "QDRANT_COLLECTION"), (login_page, "QDRANT_URL")]
)
def test_what_is_not_its_own_is_told_by_every_route_and_ready(
    unprepared: tuple[Service, QdrantServer], found: Callable[[QdrantServer], None], words: str
) -> None:
    service, qdrant = unprepared
    found(qdrant)
    qdrant.start()
    for route, body in (
        ("add", {"data": "x", "user_id": "a"}),
        ("search", {"query": "x", "user_id": "a"}),
        ("get_all", {"user_id": "a"}),
        ("delete_all", {"user_id": "a"}),
        ("get", {"memory_id": str(uuid.uuid4())}),
    ):
        refused = service.post(route, body)
        assert (refused.status_code, refused.json()["code"]) == (503, "vector_store_unavailable")
        assert words in refused.json()["detail"]
    wait_for(lambda: words in vector_store(service).get("detail", ""))  # it looks once a second
    assert service.http.get("/ready").status_code == 503
    assert "Traceback" not in service.log.read_text()


def vector_store(service: Service) -> dict[str, str]:
    checks: dict[str, dict[str, str]] = service.http.get("/ready").json()["checks"]
    return checks["vector_store"]


def test_starts_without_the_server_and_works_when_it_comes(
    unprepared: tuple[Service, QdrantServer],
) -> None:
    """The last one that is given it."""
    service, qdrant = unprepared
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

    def check_opens(self, service: Service, memory_id: str) -> None:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        memory = service.ask("get_all", user_id="alice")["results"][0]
        assert (memory["id"], memory["metadata"]) == (memory_id, {"mood": "calm"})
        assert service.ask("search", query="tea", user_id="alice")["results"]
        assert service.ask("history", memory_id=memory_id)["results"] == []
        service.ask("add", data="I like green tea", user_id="alice")
        assert service.ask("get_all", user_id="alice")["total"] == 2

    def test_opens(self, tmp_path: Path, qdrant: QdrantServer) -> None:
        memory_id = self.fill(qdrant, with_words=True)
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            self.check_opens(service, memory_id)

    @pytest.mark.soak
    def test_without_words_it_opens_warns_once_and_reembed_adds_them(
        self, tmp_path: Path, qdrant: QdrantServer
    ) -> None:
        memory_id = self.fill(qdrant, with_words=False)
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            self.check_opens(service, memory_id)
            for _ in range(3):
                found = service.ask("search", query="tea", user_id="alice", explain=True)
                assert {memory["keyword"] for memory in found["results"]} == {0}
            assert service.log.read_text().count("is searched by meaning alone") == 1
            service.stop()
            done = reembed(service)
            assert done.returncode == 0, done.stderr
            service.start()
            found = service.ask("search", query="tea", user_id="alice", explain=True)["results"]
            assert {memory["id"]: memory["keyword"] for memory in found}[memory_id] == 1


def test_words_are_counted_in_the_scope_of_the_search(mine: Service, keyed: QdrantServer) -> None:
    """With an older server: tests/unit/storage/test_server_versions.py."""
    mine.ask("add", data="tea", user_id="alice", run_id="r")
    before = len(keyed.requests)
    mine.ask("search", query="tea", user_id="alice", filters={"a": "x"})
    mine.ask("search", query="tea")
    scope = {"must": [{"key": "user_id", "match": {"value": "alice"}}]}
    assert corpora(keyed.requests[before:]) == [{"corpus": scope}, None]
    assert not [request for request in keyed.requests[before:] if request.path == "/"]
    assert "before 1.19" not in mine.log.read_text()


def test_memories_with_keys_that_are_refused_now_can_be_read_and_changed(
    mine: Service, keyed: QdrantServer
) -> None:
    memory_id = mine.ask("add", data="tea", user_id="a", metadata={"b": 1})["result"]
    old = {"a.b": "x", "AND": 1, "deep": {'"': {"": 2}}}
    keyed.client.set_payload("mine", old, points=[memory_id])
    assert mine.ask("get", memory_id=memory_id)["metadata"] == {"b": 1, **old}
    mine.ask("update", memory_id=memory_id, metadata={"b": 2, "deep": {"c": 3}})
    mine.ask("update", memory_id=memory_id, data="green tea")
    memory = mine.ask("get_all", user_id="a", filters={"deep.c": 3})["results"][0]
    assert memory["memory"] == "green tea"
    assert memory["metadata"] == {"b": 2, "a.b": "x", "AND": 1, "deep": {"c": 3}}
