"""Counting words in the caller's scope alone needs Qdrant 1.19."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from qdrant_client import QdrantClient

from app.embeddings import EmbedderInfo
from app.security.scopes import Scope
from app.storage.payloads import new_id, new_payload
from app.storage.vectors.filters import corpus_of, in_scope
from app.storage.vectors.server import Connection, ServerStore
from tests.servers.qdrant import QdrantServer, corpora

ALICE: Scope = {"user_id": "alice"}


@contextmanager
def opened(server: QdrantServer) -> Iterator[ServerStore]:
    """A store with a memory of alice."""
    client = QdrantClient(url=server.url, check_compatibility=False)
    store = ServerStore(Connection.by(client), "memories")
    store.prepare(EmbedderInfo("test/model", 2))
    store.put({new_id(): ([1.0, 0.0], new_payload("tea", ALICE, {}))})
    yield store
    store.close()


def found(store: ServerStore) -> int:
    """How many memories of alice are found by the word tea."""
    hits = store.hybrid("tea", [1.0, 0.0], in_scope(ALICE), 5, corpus=corpus_of(ALICE))
    return len(hits[1])


@pytest.mark.parametrize("version", ["1.18.2", "1.9.0", "dev"])
def test_an_older_server_counts_among_all_and_it_is_told_once(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    with QdrantServer(version=version) as server, opened(server) as store:
        assert [found(store) for _ in range(3)] == [1] * 3
        assert corpora(server.requests) == [None] * 3
    assert caplog.text.count(f"is of version {version}: before 1.19") == 1


@pytest.mark.parametrize("status", [403, 404])
def test_one_whose_version_cannot_be_asked_is_taken_for_an_older_one(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with QdrantServer() as server:
        server.fault("/", method="GET", status=status)
        server.fault("/collections", method="GET")
        with opened(server) as store:
            assert found(store) == 1
            assert corpora(server.requests) == [None]
    assert "is of version unknown: before 1.19" in caplog.text
