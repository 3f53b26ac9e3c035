"""What the service needs of a vector store, on nine things that an engine must do.

Every point has the dense vector of its text and a BM25 sparse vector named `bm25`, both made
here in the process: keyword search works offline and alike on every engine, in Chinese too.
"""

import json
import math
import uuid
from abc import abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from mem0.vector_stores.base import VectorStoreBase
from qdrant_edge import SparseVector

from app.memory.bm25 import Bm25Encoder
from app.memory.filters import Filter, in_scope
from app.memory.payloads import Payload, Scope
from app.memory.ranking import Record

PAGE = 1000
DENSE = ""  # the unnamed vector, as mem0 stores it
SPARSE = "bm25"
KEYWORD_INDEXES = ("user_id", "agent_id", "run_id")
DATETIME_INDEXES = ("created_at", "expiration_date")

Vector = list[float]


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point as it is written."""

    id: str
    dense: Vector
    sparse: SparseVector
    payload: Payload


@dataclass(frozen=True, slots=True)
class Nearest:
    """One list to ask of the engine: by the dense vector, or by words."""

    vector: Vector | SparseVector
    limit: int
    where: Filter


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a listing has come: the time of its last memory, and who of that time was given.

    The ids are needed because several memories may share one `created_at`, and an engine
    gives no order among those.
    """

    time: datetime
    ids: tuple[str, ...]

    def encode(self) -> str:
        text = json.dumps([self.time.isoformat(), *self.ids], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Raises ValueError for anything that `encode` did not make."""
        try:
            time, *ids = json.loads(urlsafe_b64decode(text.encode("ascii")))
            return cls(_instant(time), tuple(str(uuid.UUID(point_id)) for point_id in ids))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a cursor of an earlier answer") from error


class VectorStore(VectorStoreBase):
    """One collection of memories."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._bm25 = Bm25Encoder()

    # ---- what an engine must do; each raises VectorStoreUnavailable when it cannot

    @abstractmethod
    def _upsert(self, points: Sequence[NewPoint]) -> None: ...

    @abstractmethod
    def _overwrite_payload(self, point_id: str, payload: Payload) -> None: ...

    @abstractmethod
    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        """The points that are there; a missing one is absent."""

    @abstractmethod
    def _query(self, requests: Sequence[Nearest]) -> list[list[Record]]:
        """Several lists in one call, best first. Lists by words carry each hit's tokens."""

    @abstractmethod
    def _newest(self, where: Filter, limit: int) -> list[Record]:
        """By `created_at`, newest first."""

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None: ...

    @abstractmethod
    def count(self, where: Filter) -> int: ...

    @abstractmethod
    def clear(self) -> None:
        """Delete every point."""

    @abstractmethod
    def flush(self) -> None:
        """Bring what was written to the disk."""

    @abstractmethod
    def close(self) -> None: ...

    # ---- what the service calls

    def put(self, memories: Mapping[str, tuple[Vector, Payload]]) -> None:
        """Write whole memories, new or changed: id -> (dense vector, payload)."""
        points = [
            NewPoint(point_id, self._checked(dense), self._bm25.document(payload["data"]), payload)
            for point_id, (dense, payload) in memories.items()
        ]
        if points:
            self._upsert(points)

    def hybrid(
        self, query: str, dense: Vector, where: Filter, limit: int
    ) -> tuple[list[Record], list[Record], frozenset[int]]:
        """The two lists of a hybrid search, in one call, and the ids of the query's words."""
        words = self._bm25.query(query)
        requests = [Nearest(self._checked(dense), limit, where)]
        if words.indices:  # a query of stop words alone has none
            requests.append(Nearest(words, limit, where))
        similar, *worded = self._query(requests)
        return similar, worded[0] if worded else [], frozenset(words.indices)

    def page(
        self, where: Filter, limit: int, after: Cursor | None = None
    ) -> tuple[list[Record], Cursor | None]:
        """Memories newest first, and the cursor of the next page: None when there is none."""
        if after:
            not_later = {"key": "created_at", "range": {"lte": after.time.isoformat()}}
            where = {"must": [where, not_later]}
            if after.ids:
                where["must_not"] = [{"has_id": list(after.ids)}]
        records = self._newest(where, limit + 1)
        return records[:limit], _next(records[:limit], after) if len(records) > limit else None

    def every(self, where: Filter, cursor: Cursor | None = None) -> Iterator[Record]:
        """All memories from `cursor` on, newest first, read page by page."""
        while True:
            records, cursor = self.page(where, PAGE, cursor)
            yield from records
            if cursor is None:
                return

    def delete_many(self, ids: Sequence[str]) -> None:
        if ids:
            self._delete(ids)

    def overwrite_payload(self, point_id: str, payload: Payload) -> None:
        """Another payload under the same vectors; the text must be the same."""
        self._overwrite_payload(point_id, payload)

    # ---- what mem0 calls (VectorStoreBase); `filters` are scopes there

    def insert(
        self,
        vectors: Sequence[Vector],
        payloads: Sequence[Payload] | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        ids = ids or [str(uuid.uuid4()) for _ in vectors]
        payloads = payloads or [{} for _ in vectors]
        self.put(dict(zip(ids, zip(vectors, payloads, strict=True), strict=True)))

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Scope | None = None
    ) -> list[Record]:
        return self._query([Nearest(self._checked(vectors), top_k, in_scope(filters or {}))])[0]

    def keyword_search(
        self, query: str, top_k: int = 5, filters: Scope | None = None
    ) -> list[Record]:
        words = self._bm25.query(query)
        if not words.indices:
            return []
        return self._query([Nearest(words, top_k, in_scope(filters or {}))])[0]

    def search_batch(
        self,
        queries: Sequence[str],
        vectors_list: Sequence[Vector],
        top_k: int = 1,
        filters: Scope | None = None,
    ) -> list[list[Record]]:
        where = in_scope(filters or {})
        return self._query([Nearest(self._checked(v), top_k, where) for v in vectors_list])

    def get(self, vector_id: str) -> Record | None:
        found = self._retrieve([vector_id])
        return found[0] if found else None

    def list(self, filters: Scope | None = None, top_k: int | None = None) -> list[list[Record]]:
        where = in_scope(filters or {}, show_expired=True)
        if top_k is None:
            return [[*self.every(where)]]
        return [self.page(where, top_k)[0]]

    def update(
        self, vector_id: str, vector: Vector | None = None, payload: Payload | None = None
    ) -> None:
        if vector is None:
            self._overwrite_payload(vector_id, payload or {})
        else:
            self.put({vector_id: (vector, payload or {})})

    def delete(self, vector_id: str) -> None:
        self._delete([vector_id])

    def reset(self) -> None:
        self.clear()

    # The collection is made when the store is opened, and there is one.

    def create_col(self, name: str, vector_size: int, distance: str) -> None:
        raise NotImplementedError

    def list_cols(self) -> Any:
        raise NotImplementedError

    def delete_col(self) -> None:
        raise NotImplementedError

    def col_info(self) -> Any:
        raise NotImplementedError

    # ---- inside

    def _checked(self, vector: Vector) -> Vector:
        """Before anything is sent: Edge keeps a write that it refused, and accepts NaN."""
        if len(vector) != self.dimensions:
            raise ValueError(f"a vector of {len(vector)} numbers, not {self.dimensions}")
        if not all(map(math.isfinite, vector)):
            raise ValueError("a vector with a number that is not finite")
        return vector


def _next(records: Sequence[Record], before: Cursor | None) -> Cursor:
    times = [_instant(record.payload["created_at"]) for record in records]
    last = times[-1]
    same = [record.id for record, time in zip(records, times, strict=True) if time == last]
    if before and before.time == last:
        same += before.ids
    return Cursor(last, tuple(same))


def _instant(text: str) -> datetime:
    """A time with its zone; Qdrant, too, takes one without for UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
