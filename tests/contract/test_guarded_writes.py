"""What a server does with a write that names the revision it replaces, over REST and over gRPC."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from qdrant_client import QdrantClient

from app.embeddings import EmbedderInfo, Vector
from app.storage.payloads import REVISION, Payload
from app.storage.vectors.ranking import Record
from app.storage.vectors.server import Connection, Options, ServerStore
from tests.servers.program import BINARY, QdrantProgram
from tests.servers.qdrant import QdrantServer

EMBEDDER = EmbedderInfo("test/model", 2)
EAST: Vector = [1.0, 0.0]
NORTH: Vector = [0.0, 1.0]
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
SERVERS = ["stand-in", "program"] if BINARY else ["stand-in"]


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QdrantServer | QdrantProgram]:
    program = (
        QdrantProgram(tmp_path_factory.mktemp("qdrant")) if "program" in request.param else None
    )
    with program or QdrantServer(grpc=True) as running:
        yield running


@pytest.fixture(scope="module", params=["off", "on"], ids=["REST", "gRPC"])
def opened(
    request: pytest.FixtureRequest, server: QdrantServer | QdrantProgram
) -> Iterator[ServerStore]:
    grpc_port = server.grpc_port
    client = QdrantClient(url=server.url, grpc_port=grpc_port, check_compatibility=False)
    with ExitStack() as stack:
        options = Options(grpc=request.param, timeout_s=60)
        store = ServerStore(Connection.by(client), f"guarded-{request.param}", options=options)
        stack.callback(store.close)
        store.prepare(EMBEDDER)
        yield store


@pytest.fixture
def store(opened: ServerStore) -> ServerStore:
    opened.clear()
    return opened


def of(revision: str | None, text: str = "tea") -> Payload:
    own = {} if revision is None else {REVISION: revision}
    return {"data": text, "user_id": "u", "created_at": "2026-01-01T00:00:00+00:00", **own}


def there(store: ServerStore, id_: str = ONE) -> Record:
    found = store.get(id_)
    assert found
    return found


def test_what_is_inserted_is_there(store: ServerStore) -> None:
    store.insert({ONE: (EAST, of("a")), TWO: (EAST, of("a", "coffee"))})
    assert there(store).payload == of("a")
    assert there(store, TWO).payload == of("a", "coffee")


def test_what_is_inserted_late_changes_nothing_that_is_there(store: ServerStore) -> None:
    store.insert({ONE: (EAST, of("a"))})
    store.insert({ONE: (NORTH, of("b", "other")), TWO: (EAST, of("b"))})
    assert there(store).payload == of("a")
    assert there(store, TWO).payload == of("b"), "the one that was not there"


@pytest.mark.parametrize("vector", [None, NORTH], ids=["payload", "whole"])
@pytest.mark.parametrize("before", [None, "a"])
class TestReplace:
    def test_replaces_what_is_as_it_was_read(
        self, store: ServerStore, before: str | None, vector: Vector | None
    ) -> None:
        store.put({ONE: (EAST, of(before)), TWO: (EAST, of(before))})
        store.replace(ONE, vector, of("b", "other" if vector else "tea"), before)
        assert there(store).payload == of("b", "other" if vector else "tea")
        assert there(store, TWO).payload == of(before), "another of the same revision"
        [best, *_] = store.nearest(vector or EAST, 1, {"user_id": "u"})
        assert best.score == pytest.approx(1)

    def test_leaves_what_was_changed_since(
        self, store: ServerStore, before: str | None, vector: Vector | None
    ) -> None:
        for since in {None, "z"} - {before}:
            store.put({ONE: (EAST, of(since))})
            store.replace(ONE, vector, of("b", "other"), before)
            assert there(store).payload == of(since)

    def test_brings_nothing_back(
        self, store: ServerStore, before: str | None, vector: Vector | None
    ) -> None:
        store.replace(ONE, vector, of("b"), before)
        assert store.get(ONE) is None


@pytest.mark.parametrize("before", [None, "a"])
class TestRemove:
    def test_removes_what_is_as_it_was_read(self, store: ServerStore, before: str | None) -> None:
        store.put({ONE: (EAST, of(before)), TWO: (EAST, of(before))})
        store.remove(ONE, before)
        assert store.get(ONE) is None
        assert there(store, TWO)

    def test_leaves_what_was_changed_since(self, store: ServerStore, before: str | None) -> None:
        store.put({ONE: (EAST, of("z"))})
        store.remove(ONE, before)
        assert there(store).payload == of("z")
