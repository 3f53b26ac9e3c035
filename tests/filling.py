"""Many memories at once, put into the store itself: no model has to read them."""

import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from app.embeddings import EmbedderInfo
from app.security.scopes import Scope
from app.storage.payloads import new_payload
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.server import Connection, ServerStore
from app.storage.vectors.store import VectorStore
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

LOCAL = EmbedderInfo("local/multilingual-e5-small", 384)
STORES = ["embedded", "server"]
SERVER_IN_SOAK = ["embedded", pytest.param("server", marks=pytest.mark.soak)]
"""STORES, of which `make test` tries the first alone."""


def fill(store: VectorStore, number: int, text: str, scope: Scope, **metadata: Any) -> list[str]:
    """As many memories of `text`; their ids."""
    ids = [str(uuid.uuid4()) for _ in range(number)]
    vector = [0.05] * LOCAL.dimensions
    for start in range(0, number, 200):
        payloads = {
            id_: new_payload(text, scope, metadata, role="user") for id_ in ids[start : start + 200]
        }
        store.put({id_: (vector, payload) for id_, payload in payloads.items()})
    return ids


class Place:
    """Where a service will find its memories: a folder, or a stand-in for Qdrant beside it."""

    def __init__(self, kind: str, data_dir: Path, stack: ExitStack) -> None:
        self._stack = stack
        self._data_dir = data_dir
        self.qdrant = stack.enter_context(QdrantServer()) if kind == "server" else None
        self._settings = {"QDRANT_URL": self.qdrant.url} if self.qdrant else {}

    def fill(self, number: int, text: str, scope: Scope, **metadata: Any) -> list[str]:
        """Before the service starts: the folder is one process's."""
        store = self._store()
        store.prepare(LOCAL)
        ids = fill(store, number, text, scope, **metadata)
        store.flush()
        store.close()
        return ids

    def _store(self) -> VectorStore:
        if self.qdrant is None:
            return EdgeStore(self._data_dir / "qdrant")
        client = QdrantClient(url=self.qdrant.url, check_compatibility=False, timeout=60)
        return ServerStore(Connection.by(client), "memories")

    def start(self, **settings: str) -> Service:
        service = Service(self._data_dir, **self._settings, **settings)
        self._stack.enter_context(service)
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        return service
