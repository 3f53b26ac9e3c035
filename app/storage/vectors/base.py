"""What an engine of the vector store must do; `store` builds on it what the service calls.

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
    """An engine's word for: the collection was not made yet, or is gone."""


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
"""What an engine does with points, by method, and the operation as which the metrics show it."""


class Engine(ABC):
    """One collection, and its points."""

    read_at_once = 32
    """Payloads of one call, where how large they are shows only afterwards; several such are a
    Chunk."""

    def __init_subclass__(cls, engine: str = "other", **kwargs: Any) -> None:
        """`engine` is its name in the metrics."""
        super().__init_subclass__(**kwargs)
        for name, operation in ENGINE_CALLS.items():
            if name in vars(cls):
                setattr(cls, name, store_call(engine, operation, vars(cls)[name]))

    # ---- the collection

    @abstractmethod
    def embedder(self) -> EmbedderInfo | None:
        """Who made the vectors that are stored; None where there is no collection.

        The name is empty where it is not known: mem0 itself made the collection.
        """

    @abstractmethod
    def _create(self, embedder: EmbedderInfo) -> None:
        """Make the collection, unless another process just did."""

    @abstractmethod
    def _record_embedder(self, embedder: EmbedderInfo) -> None:
        """Keep the embedder's name beside a collection that has none."""

    @abstractmethod
    def _read_zero(self) -> float | None:
        """What `_record_zero` kept beside the collection."""

    @abstractmethod
    def _record_zero(self, zero: float) -> None:
        """Keep a number beside the collection, for as long as it has this embedder."""

    @abstractmethod
    def _read_words(self) -> int | None:
        """The version of the words, see `bm25.VERSION`: the oldest where none was recorded, None
        where there is no collection, or none with words."""

    @abstractmethod
    def _record_words(self, version: int) -> None:
        """Keep the version beside the collection; `_create` does so itself."""

    @abstractmethod
    def rebuild_target(self, embedder: EmbedderInfo) -> Self | None:
        """A store beside this one, prepared for `embedder`, perhaps half filled already.

        None where this one is of `embedder` and lacks nothing.
        """

    @abstractmethod
    def swap_in(self, target: Self) -> None:
        """Let `target`, which has everything, take the place of this store; closes both."""

    def _adopt(self, embedder: EmbedderInfo) -> None:
        """Take all dense vectors away and make the collection one of `embedder`, in place. May be
        cut off and called again."""
        raise NotImplementedError("only the embedded engine can do so in place")

    # ---- its points; each raises NoCollection where there is none, and
    # VectorStoreUnavailable or VectorStoreTimeout when it cannot

    @abstractmethod
    def _upsert(self, points: Sequence[NewPoint]) -> None: ...

    @abstractmethod
    def _overwrite_payload(self, point_id: str, payload: Payload) -> None: ...

    @abstractmethod
    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        """The points that are there; a missing one is absent."""

    @abstractmethod
    def _retrieve_whole(self, ids: Sequence[str]) -> list[Whole]:
        """The same, with their vectors."""

    @abstractmethod
    def _scroll_whole(self, after: Any, limit: int) -> tuple[list[Whole], Any]:
        """Some points, as `_worded` gives them."""

    @abstractmethod
    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        """Several lists in one call, best first. Lists by words carry each hit's tokens."""

    @abstractmethod
    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        """By `created_at`, newest first, from a cursor on, see `following`.

        The order has to begin there too, or the engine walks through what was given already.
        """

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None: ...

    @abstractmethod
    def _count(self, where: Filter) -> int: ...

    @abstractmethod
    def _facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        """The values that `key`, one of KEYWORD_INDEXES, has, and how many points have each."""

    def unembedded(self, limit: int) -> list[str]:
        """The ids of some memories without a dense vector; of an engine that cannot `_adopt`
        there are none."""
        return []

    def count_unembedded(self) -> int:
        return 0

    def _owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        """Some points by their ids, in the order of these, with those keys of their payloads that
        say whose they are and until when they are shown; and what to give as `after` for those
        that follow: the id of the next, or None where there is none."""
        raise NotImplementedError("only an engine that is shared has to be able to do so")

    @abstractmethod
    def _worded(self, after: Any, limit: int) -> tuple[list[Worded], Any]:
        """Some points, in an order that stays, and what to give as `after` for those that follow:
        None at first, and where none do."""

    @abstractmethod
    def _update_words(self, words: Mapping[str, SparseVector]) -> None:
        """Other words of points that are there, by their ids."""

    @abstractmethod
    def _clear(self) -> None:
        """Delete every point."""

    @abstractmethod
    def flush(self) -> None:
        """Bring what was written to the disk."""

    @abstractmethod
    def close(self) -> None: ...

    def still(self) -> AbstractContextManager[None]:
        """Everything is in its files, which nobody changes meanwhile; a server's are its own."""
        return nullcontext()

    # ---- what it says of itself

    @property
    def replicated(self) -> bool:
        """Whether a write that failed may stand on some replicas of a memory and not on others,
        so that what one of them shows says nothing; it stands on all when it is made again."""
        return False

    keeps_deleted: str
    """Where its files may still have what was deleted, and until when."""

    @abstractmethod
    def check(self) -> str | None:
        """What an operator may want to know of it. Raises when the engine does not answer."""

    @abstractmethod
    def check_disk_space(self) -> None:
        """Raises StorageFull where a write would find no room."""

    # ---- where engines differ

    @property
    def ids_at_once(self) -> int:
        """That a filter may name."""
        return ROWS

    def _narrowed(self, where: Filter) -> Filter:
        """`where` as a filter that several lists may be asked with for the price of one."""
        return where

    def _public(self, engine_id: Any) -> str:
        """The id of an `ids_only` record as callers know it."""
        return str(engine_id)
