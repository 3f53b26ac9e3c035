"""What the service needs of a vector store, whichever engine is behind it.

Both vectors of a point are made here in the process, so keyword search works offline and alike
on every engine, in Chinese too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from app.embeddings import Vector
from app.errors import MemoryNotFound
from app.security.scopes import Scope
from app.storage.payloads import Payload
from app.storage.vectors.base import NoCollection
from app.storage.vectors.completing import completed
from app.storage.vectors.filters import Filter, in_scope
from app.storage.vectors.guarded import GuardedStore
from app.storage.vectors.paging import (
    PAGE,
    Chunk,
    Cursor,
    Listed,
    cursor_after,
    merged,
    size_of,
    sliced,
)
from app.storage.vectors.points import Nearest, Whole
from app.storage.vectors.ranking import Record

WHOLE_AT_ONCE = 64  # memories with their vectors; a text may have 100,000 characters

P = ParamSpec("P")
T = TypeVar("T")


class VectorStore(GuardedStore):
    """One collection of memories. It is made when an embedder first comes; until then it is
    read as an empty one."""

    def put(self, memories: Mapping[str, tuple[Vector | None, Payload]]) -> None:
        """Write whole memories, new or changed: id -> (dense vector, payload). See NewPoint for
        those without a vector."""
        points = self._points(memories)
        if not points:
            return
        try:
            self._upsert(points)
        except NoCollection:  # a server came back empty
            self._make_again()
            self._upsert(points)

    def hybrid(
        self,
        query: str,
        dense: Vector | None,
        where: Filter,
        limit: int,
        *,
        corpus: Filter | None = None,
        ids_only: bool = False,
    ) -> tuple[Sequence[Record], Sequence[Record], frozenset[int]]:
        """The two lists of a hybrid search and the ids of the query's words, in two calls.

        The best `limit` by meaning, then those by words alone, each with its cosine; and the other
        way round with BM25, which only memories with a word of the query have.

        How rare a word is, is counted among the memories of `corpus` (None: among all), so that
        no score tells of the words of others. Without `dense` the first list is empty. With
        `ids_only` the lists are for `rank` and
        `hydrate` alone, see Nearest.
        """
        words = self._bm25.query(query)
        where = _or(where, self._narrowed, where)
        requests = {}
        if dense is not None:
            requests["similar"] = Nearest(self._checked(dense), limit, where, ids_only)
        if words.indices:  # a query of stop words alone has none
            requests["worded"] = Nearest(words, limit, where, ids_only, corpus)
        found = completed([*requests.values()], self._lists, lambda: self.ids_at_once)
        lists = dict(zip(requests, found, strict=True))
        return lists.get("similar", []), lists.get("worded", []), frozenset(words.indices)

    def hydrate(self, records: Sequence[Record]) -> Sequence[Record | None]:
        """Records that came `ids_only`, each with its id and payload; None where it is gone since.

        Read now, where they were left out: the payloads of all candidates would be most of a
        search's cost.
        """
        ids = [self._public(record.id) for record in records]
        bare = [id_ for id_, record in zip(ids, records, strict=True) if not record.payload]
        found = {record.id: record.payload for record in self.get_many(bare)}
        return [
            Record(id_, payload, record.score, record.tokens, record.turn)
            if (payload := record.payload or found.get(id_))
            else None
            for id_, record in zip(ids, records, strict=True)
        ]

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Sequence[Record]:
        """The memories of a scope that are most like `vector`, best first; without the expired."""
        return self._lists([Nearest(self._checked(vector), limit, in_scope(scope))])[0]

    def newest(
        self, where: Filter, limit: int, after: Cursor | None = None
    ) -> tuple[list[Listed], Cursor | None]:
        """The first `limit` of a listing, newest first, and the cursor of the next ones: None
        when there are none. No memory is read."""
        found = _or(list[Listed](), self._newest, where, limit + 1, after)
        first = found[:limit]
        return first, cursor_after(first, after) if len(found) > limit else None

    def skip(self, where: Filter, pages: int, size: int) -> Cursor | None:
        """The cursor of what follows so many pages of a listing, 1 or more, of `size` memories
        each; None where nothing does. No memory is read.

        Page by page: among memories of one time an engine may choose others for another number.
        """
        after: Cursor | None = None
        for _ in range(pages):
            _, after = self.newest(where, size, after)
            if after is None:
                break
        return after

    def chunks(
        self, where: Filter, limit: int | None = None, after: Cursor | None = None
    ) -> Iterator[Chunk[Record]]:
        """The first `limit` memories (None: all) of a listing, newest first, read as they are
        taken: at least one Chunk, see `merged`.

        What is deleted meanwhile is left out, and what follows takes its place.
        """
        return merged(self._read(where, limit, after))

    def _read(
        self, where: Filter, left: int | None, after: Cursor | None
    ) -> Iterator[Chunk[Record]]:
        while True:
            ids, ahead = self.newest(where, PAGE if left is None else min(left, PAGE), after)
            for part in sliced(ids, self.read_at_once):
                found = self._in_order(part)
                after = cursor_after(part, after)
                if left is not None:
                    left -= len(found)
                yield Chunk([*found], sum(map(size_of, found)), after)
            if ahead is None or left == 0:
                yield Chunk([], 0, ahead)
                return

    def page(
        self, where: Filter, limit: int, after: Cursor | None = None
    ) -> tuple[list[Record], Cursor | None]:
        """Memories newest first, and the cursor of the next page: None when there is none."""
        chunks = [*self.chunks(where, limit, after)]
        return [record for chunk in chunks for record in chunk.items], chunks[-1].cursor

    def scan(
        self, where: Filter, cursor: Cursor | None = None, page: int = PAGE
    ) -> Iterator[Record]:
        """All memories from `cursor` on, newest first, `page` of them read at once."""
        while True:
            ids, cursor = self.newest(where, page, cursor)
            yield from self._in_order(ids)
            if cursor is None:
                return

    def wholes(self) -> Iterator[Whole]:
        """All memories with their vectors, in no order."""
        after: Any = None
        while True:
            page, after = _or(([], None), self._scroll_whole, after, WHOLE_AT_ONCE)
            yield from page
            if after is None:
                return

    def owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        """Up to `limit` memories of a store that is shared, see Engine._owned. Who goes on with
        `after` meets every memory that is there all the while."""
        return _or((dict[str, Payload](), None), self._owned, after, limit)

    def get(self, point_id: str) -> Record | None:
        found = self.get_many([point_id])
        return found[0] if found else None

    def get_many(self, ids: Sequence[str]) -> Sequence[Record]:
        """The memories that are there; a missing one is absent."""
        return _or(list[Record](), self._retrieve, ids) if ids else []

    def get_whole(self, ids: Sequence[str]) -> Sequence[Whole]:
        """Those of `get_many`, in the order of `ids`, with their vectors."""
        if not ids:
            return []
        found = {one.record.id: one for one in _or(list[Whole](), self._retrieve_whole, ids)}
        return [found[id_] for id_ in ids if id_ in found]

    def delete_many(self, ids: Sequence[str]) -> None:
        if ids:
            _or(None, self._delete, ids)

    def count(self, where: Filter) -> int:
        return _or(0, self._count, where)

    def facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        """The values of `key`, one of KEYWORD_INDEXES, with how many memories have each.

        The most frequent first, then by value; at most `limit`. Counted in the index of `key`,
        without reading a memory.
        """
        hits = _or(list[tuple[str, int]](), self._facet, key, where, limit)
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def clear(self) -> None:
        """Delete every memory."""
        _or(None, self._clear)

    def overwrite_payload(self, point_id: str, payload: Payload) -> None:
        """Another payload under the same vectors; the text must be the same."""
        try:
            self._overwrite_payload(point_id, payload)
        except NoCollection:
            raise MemoryNotFound from None

    # ---- inside

    def _lists(self, requests: Sequence[Nearest]) -> Sequence[Sequence[Record]]:
        nothing: Sequence[Sequence[Record]] = [[] for _ in requests]
        return _or(nothing, self._query, requests)

    def _in_order(self, ids: Sequence[Listed]) -> Sequence[Record]:
        """The memories of a listing that are still there."""
        found = {record.id: record for record in self.get_many([one.id for one in ids])}
        return [found[one.id] for one in ids if one.id in found]


def _or(nothing: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` gives, or `nothing` where there is no collection to ask."""
    try:
        return call(*args, **kwargs)
    except NoCollection:
        return nothing
