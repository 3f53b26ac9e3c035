"""The vector store on a Qdrant server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from qdrant_edge import SparseVector

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed, cursor_after, sliced
from app.storage.vectors.points import Nearest, NewPoint, Whole, Worded
from app.storage.vectors.ranking import Record
from app.storage.vectors.server.collection import ServerCollection
from app.storage.vectors.server.connection import Connection, connect
from app.storage.vectors.server.options import Options
from app.storage.vectors.server.owned import read_owned
from app.storage.vectors.server.repeating import repeated
from app.storage.vectors.server.vectors import read_whole, scroll_whole
from app.storage.vectors.server.words import read_words, update_words
from app.storage.vectors.store import VectorStore


def open_server_store(settings: Settings, name: str | None = None) -> "ServerStore":
    """The store of the collection that the settings name, or of another collection `name`."""
    collection = name or settings.qdrant_collection
    return ServerStore(connect(settings), collection, Options.of(settings))


class ServerStore(VectorStore, engine="server"):
    """A store in a collection of a Qdrant server, which several processes may share."""

    keeps_deleted = (
        "The Qdrant server's log, segments and snapshots may keep deleted texts until it writes "
        "them over or rebuilds them."
    )

    def __init__(
        self, connection: Connection, collection: str, options: Options | None = None
    ) -> None:
        super().__init__()
        self.shared = bool(options and options.shared)
        self.nodes = max(len(connection.nodes), (options or Options()).replicas)
        self._collection = ServerCollection(connection, collection, options or Options())

    @property
    def replicated(self) -> bool:
        return self._collection.replicated

    @property
    def ids_at_once(self) -> int:
        return self._collection.ids_at_once

    def embedder(self) -> EmbedderInfo | None:
        return self._collection.embedder()

    def _create(self, embedder: EmbedderInfo) -> None:
        self._collection.create(embedder)

    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        self._collection.record_embedder(embedder)

    def _read_zero(self) -> float | None:
        return self._collection.zero()

    def _record_zero(self, zero: float) -> None:
        self._collection.record_zero(zero)

    def _read_words(self) -> int | None:
        return self._collection.words()

    def _record_words(self, version: int) -> None:
        self._collection.record_words(version)

    def _worded(self, after: Any, limit: int) -> tuple[list[Worded], Any]:
        here = self._collection
        with here.asking():
            return read_words(here.client, here.name, after, min(limit, here.rows))

    def _owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        here = self._collection
        with here.asking():
            return read_owned(here.client, here.name, after, min(limit, here.rows))

    @repeated
    def _update_words(self, words: Mapping[str, SparseVector]) -> None:
        with self._collection.writing():
            update_words(self._collection.client, self._collection.name, words)

    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        beside = self._collection.rebuild_target(embedder)
        if beside is None:
            return None
        target = type(self)(beside.connection, beside.name, beside.options)
        target.prepare(embedder)
        return target

    def swap_in(self, target: Self) -> None:
        self._collection.swap_in(target._collection)
        self.close()

    def drop(self) -> None:
        """Delete the collection, unless it has an alias."""
        self._collection.drop()

    @repeated
    def _upsert(self, points: Sequence[NewPoint]) -> None:
        with self._collection.writing() as server:
            server.upsert(points, with_words=self._collection.has_words)

    @repeated
    def _overwrite_payload(self, point_id: str, payload: Payload) -> None:
        with self._collection.writing() as server:
            server.overwrite_payload(point_id, payload)

    @repeated
    def _insert(self, points: Sequence[NewPoint]) -> None:
        with self._collection.writing() as server:
            server.insert(points, with_words=self._collection.has_words)

    @repeated
    def _replace(self, point: NewPoint, guard: Filter) -> None:
        with self._collection.writing() as server:
            server.replace(point, guard, with_words=self._collection.has_words)

    @repeated
    def _replace_payload(self, guard: Filter, payload: Payload) -> None:
        with self._collection.writing() as server:
            server.overwrite_where(guard, payload)

    @repeated
    def _remove(self, guard: Filter) -> None:
        with self._collection.writing() as server:
            server.delete_where(guard)

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        with self._collection.asking() as server:
            parts = sliced(ids, self._collection.rows)
            return [record for part in parts for record in server.retrieve(part)]

    def _retrieve_whole(self, ids: Sequence[str]) -> list[Whole]:
        here = self._collection
        with here.asking():
            parts = sliced(ids, here.rows)
            return [one for part in parts for one in read_whole(here.client, here.name, part)]

    def _scroll_whole(self, after: Any, limit: int) -> tuple[list[Whole], Any]:
        here = self._collection
        with here.asking():
            return scroll_whole(here.client, here.name, after, min(limit, here.rows))

    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        with self._collection.asking() as server:
            found: list[list[Record]] = [[] for _ in requests]
            rows, offset = self._collection.rows, 0
            # The numbers of the requests that may have further hits.
            has_words = self._collection.has_words
            left = [n for n, one in enumerate(requests) if has_words or not one.by_words]
            while left:
                asked = [self._fitted(requests[n], rows, offset) for n in left]
                for n, part in zip(left, server.query(asked, offset), strict=True):
                    found[n] += part
                offset += rows
                left = [n for n in left if len(found[n]) == offset < requests[n].limit]
        return found

    def _fitted(self, request: Nearest, rows: int, offset: int) -> Nearest:
        """`request` within the limits of this server."""
        self._collection.check_filter(request.where)
        corpus = request.corpus if self._collection.counts_in_scope else None
        return replace(request, limit=min(rows, request.limit - offset), corpus=corpus)

    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        found: list[Listed] = []
        with self._collection.asking() as server:
            self._collection.check_filter(where)
            while len(found) < limit:
                rows = min(self._collection.rows, limit - len(found))
                page = server.newest(where, rows, after)
                found += page
                if len(page) < rows:
                    break
                after = cursor_after(page, after)
        return found

    @repeated
    def _delete(self, ids: Sequence[str]) -> None:
        with self._collection.writing() as server:
            server.delete(ids)

    def _count(self, where: Filter) -> int:
        with self._collection.asking() as server:
            self._collection.check_filter(where)
            return server.count(where)

    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        with self._collection.asking() as server:
            return server.facet(key, where, min(limit, self._collection.rows))

    @repeated
    def _clear(self) -> None:
        with self._collection.writing() as server:
            server.delete_where({})

    def check(self) -> str | None:
        return self._collection.check()

    def check_disk_space(self) -> None:
        """Does nothing, because the server refuses a write when its disk is full."""

    def flush(self) -> None:
        """Does nothing, because the server answers a write only when its log has it."""

    def close(self) -> None:
        self._collection.connection.close()
