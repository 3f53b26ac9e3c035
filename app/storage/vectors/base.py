"""The interface of an engine. `store` builds on it what the service calls.

Every point has the dense vector of its text and a BM25 sparse vector named `bm25`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from qdrant_edge import SparseVector

from app.embeddings import EmbedderInfo
from app.observability.metrics import store_call
from app.security.scopes import SCOPE_KEYS
from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import ROWS, Cursor, Listed
from app.storage.vectors.points import Nearest, NewPoint, Whole, Worded
from app.storage.vectors.ranking import Record

DENSE = ""  # the unnamed vector, as mem0 stores it
SPARSE = "bm25"
KEYWORD_INDEXES = (*SCOPE_KEYS, "hash")
DATETIME_INDEXES = ("created_at", "expiration_date")


class NoCollection(Exception):
    """Raised by engines: the collection was not made yet, or is gone."""


ENGINE_CALLS = {
    "_upsert": "upsert",
    "_overwrite_payload": "overwrite_payload",
    "_retrieve": "retrieve",
    "_retrieve_whole": "retrieve",
    "_query": "query",
    "_newest": "newest",
    "_delete": "delete",
    "_count": "count",
    "_facet": "facet",
    "_clear": "clear",
    "_insert": "upsert",
    "_replace": "upsert",
    "_replace_payload": "overwrite_payload",
    "_remove": "delete",
    "flush": "flush",
}
"""The methods of an engine that the metrics count, each with the name of its operation there."""


class Engine(ABC):
    """A collection and its points."""

    read_at_once = 32
    """How many payloads one call reads. It is small because their sizes are not known before;
    several such calls make a Chunk."""

    def __init_subclass__(cls, engine: str = "other", **kwargs: Any) -> None:
        """`engine` is its name in the metrics."""
        super().__init_subclass__(**kwargs)
        for name, operation in ENGINE_CALLS.items():
            if name in vars(cls):
                setattr(cls, name, store_call(engine, operation, vars(cls)[name]))

    # ---- the collection

    @abstractmethod
    def embedder(self) -> EmbedderInfo | None:
        """The embedder of the stored vectors; None where there is no collection.

        Its name is empty where mem0 made the collection and did not store it.
        """

    @abstractmethod
    def _create(self, embedder: EmbedderInfo) -> None:
        """Make the collection, unless another process has just made it."""

    @abstractmethod
    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        """Store the embedder's name with a collection that has none."""

    @abstractmethod
    def _read_zero(self) -> float | None:
        """The number that `_record_zero` stored."""

    @abstractmethod
    def _record_zero(self, zero: float) -> None:
        """Store the embedder's `zero` with the collection, until the embedder changes."""

    @abstractmethod
    def _read_words(self) -> int | None:
        """The version of the words, see `bm25.VERSION`. The oldest one where none was stored; None
        where there is no collection, or one without words."""

    @abstractmethod
    def _record_words(self, version: int) -> None:
        """Store the version of the words with the collection; `_create` does it, too."""

    @abstractmethod
    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        """A second store for vectors of `embedder`, perhaps partly filled by an earlier run.

        None where this store has the vectors of `embedder` already.
        """

    @abstractmethod
    def swap_in(self, target: Self) -> None:
        """Replace this store by `target`, which must be complete; closes both."""

    def _adopt(self, embedder: EmbedderInfo) -> None:
        """Delete all dense vectors, and let the collection have those of `embedder`, in place. May
        be interrupted and called again."""
        raise NotImplementedError("only the embedded engine can do so in place")

    # ---- points: each method raises NoCollection where there is no collection, and
    # VectorStoreUnavailable or VectorStoreTimeout when the engine fails

    @abstractmethod
    def _upsert(self, points: Sequence[NewPoint]) -> None: ...

    @abstractmethod
    def _overwrite_payload(self, point_id: str, payload: Payload) -> None: ...

    @abstractmethod
    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        """The points that exist, of `ids`."""

    @abstractmethod
    def _retrieve_whole(self, ids: Sequence[str]) -> list[Whole]:
        """The points that exist, of `ids`, with their dense vectors."""

    @abstractmethod
    def _scroll_whole(self, after: Any, limit: int) -> tuple[list[Whole], Any]:
        """Some points with their dense vectors. For `after` and the result see `_worded`."""

    @abstractmethod
    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        """The lists of several requests in one call, best first. Hits by words have tokens."""

    @abstractmethod
    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        """The points by `created_at`, newest first, from a cursor on, see `following`.

        The engine must be told to begin there, or it reads all points before the cursor again.
        """

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None: ...

    @abstractmethod
    def _count(self, where: Filter) -> int: ...

    @abstractmethod
    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        """The values of `key`, which is in KEYWORD_INDEXES, with the number of points of each."""

    def unembedded(self, limit: int) -> list[str]:
        """The ids of some memories without a dense vector. Only an engine that can `_adopt` has
        any."""
        return []

    def count_unembedded(self) -> int:
        return 0

    def _owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        """Some points in the order of their ids, with the keys of their payloads for scope and
        expiry; and the id to give as `after` for the next points, None at the end."""
        raise NotImplementedError("only an engine that is shared has to be able to do so")

    @abstractmethod
    def _worded(self, after: Any, limit: int) -> tuple[list[Worded], Any]:
        """Some points with their words, in a stable order; and the value to give as `after` for the
        next points. It is None at the beginning and at the end."""

    @abstractmethod
    def _update_words(self, words: Mapping[str, SparseVector]) -> None:
        """Replace the words of existing points, by their ids."""

    @abstractmethod
    def _clear(self) -> None:
        """Delete every point."""

    @abstractmethod
    def flush(self) -> None:
        """Flush all writes to the disk."""

    @abstractmethod
    def close(self) -> None: ...

    def still(self) -> AbstractContextManager[None]:
        """Held while the engine's files are flushed and do not change. A server keeps its own
        files, so that nothing is to be done."""
        return nullcontext()

    # ---- properties and checks

    @property
    def replicated(self) -> bool:
        """Whether memories have replicas. If so, a failed write may be on some replicas only, and
        reading one of them proves nothing; repeating the write brings it to all."""
        return False

    keeps_deleted: str
    """Where files may still have deleted texts, and until when; a text for callers."""

    @abstractmethod
    def check(self) -> str | None:
        """A note for operators, or None. Raises where the engine does not answer."""

    @abstractmethod
    def check_disk_space(self) -> None:
        """Raises StorageFull where there is no room for a write."""

    # ---- differences between engines

    @property
    def ids_at_once(self) -> int:
        """How many ids a filter may have."""
        return ROWS

    def _narrowed(self, where: Filter) -> Filter:
        """`where` in a form that the engine evaluates once for several lists."""
        return where

    def _public(self, engine_id: Any) -> str:
        """The public id of an `ids_only` record."""
        return str(engine_id)
