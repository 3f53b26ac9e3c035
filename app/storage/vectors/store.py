"""The vector store that the service calls, on any engine.

The words of a point are made in this process, so that keyword search works offline, and in the same
way on every engine and in every language.
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
    """A collection of memories. It is made when it is first prepared for an embedder; before that
    it reads as empty."""

    def put(self, memories: Mapping[str, tuple[Vector | None, Payload]]) -> None:
        """Write new or changed memories: id -> (dense vector, payload). For memories without a
        vector see NewPoint."""
        points = self._points(memories)
        if not points:
            return
        try:
            self._upsert(points)
        except NoCollection:  # the server lost its data
            self._write_again(self._upsert, points)

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
        """The two lists of a hybrid search, and the ids of the query's words, in two calls.

        The first list has the best `limit` by meaning, then the other hits by words, each with its
        cosine. The second has the best by words, then the other hits by meaning, each with its
        BM25, which only memories with a word of the query have.

        Document frequencies are counted among the memories of `corpus` (None: among all), so that
        no score reveals the words of others. Without `dense` the first list is empty. With
        `ids_only` the lists are only for `rank` and `hydrate`, see Nearest.
        """
        words = self._bm25.query(query)
        where = _or(where, self._narrowed, where)
        requests = {}
        if dense is not None:
            requests["similar"] = Nearest(self._checked(dense), limit, where, ids_only)
        if words.indices:  # a query of stop words only has none
            requests["worded"] = Nearest(words, limit, where, ids_only, corpus)
        found = completed([*requests.values()], self._lists, lambda: self.ids_at_once)
        lists = dict(zip(requests, found, strict=True))
        return lists.get("similar", []), lists.get("worded", []), frozenset(words.indices)

    def hydrate(self, records: Sequence[Record]) -> Sequence[Record | None]:
        """`ids_only` records, completed with their ids and payloads; None for a memory that was
        deleted meanwhile.

        Payloads are read here, and not for all candidates, which would be most of a search's cost.
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
        """The memories of a scope that are most similar to `vector`, best first, without expired
        ones."""
        return self._lists([Nearest(self._checked(vector), limit, in_scope(scope))])[0]

    def newest(
        self, where: Filter, limit: int, after: Cursor | None = None
    ) -> tuple[list[Listed], Cursor | None]:
        """The first `limit` places of a listing, newest first, and the cursor after them, None at
        the end. No payload is read."""
        found = _or(list[Listed](), self._newest, where, limit + 1, after)
        first = found[:limit]
        return first, cursor_after(first, after) if len(found) > limit else None

    def skip(self, where: Filter, pages: int, size: int) -> Cursor | None:
        """The cursor after so many pages of a listing, 1 or more, of `size` memories each; None at
        the end. No payload is read.

        It goes page by page, because with another limit an engine may choose other memories among
        those with the same time.
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
        """The first `limit` memories (None: all) of a listing, newest first, in at least one Chunk,
        see `merged`. Each is read when it is taken.

        A memory that is deleted meanwhile is left out, and the next one takes its place.
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
        """A page of memories, newest first, and the cursor of the next page, None at the end."""
        chunks = [*self.chunks(where, limit, after)]
        return [record for chunk in chunks for record in chunk.items], chunks[-1].cursor

    def scan(
        self, where: Filter, cursor: Cursor | None = None, page: int = PAGE
    ) -> Iterator[Record]:
        """All memories after `cursor`, newest first; `page` of them are read at once."""
        while True:
            ids, cursor = self.newest(where, page, cursor)
            yield from self._in_order(ids)
            if cursor is None:
                return

    def wholes(self) -> Iterator[Whole]:
        """All memories with their vectors, in any order."""
        after: Any = None
        while True:
            page, after = _or(([], None), self._scroll_whole, after, WHOLE_AT_ONCE)
            yield from page
            if after is None:
                return

    def owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        """Up to `limit` memories of a shared store, see Engine._owned. A caller that continues with
        `after` gets every memory that exists all the time."""
        return _or((dict[str, Payload](), None), self._owned, after, limit)

    def get(self, point_id: str) -> Record | None:
        found = self.get_many([point_id])
        return found[0] if found else None

    def get_many(self, ids: Sequence[str]) -> Sequence[Record]:
        """The memories that exist, of `ids`."""
        return _or(list[Record](), self._retrieve, ids) if ids else []

    def get_whole(self, ids: Sequence[str]) -> Sequence[Whole]:
        """The memories that exist, in the order of `ids`, with their vectors."""
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
        """The values of `key`, which is in KEYWORD_INDEXES, with the number of memories of each.

        Sorted by that number, the highest first, then by value; at most `limit`. Counted in the
        index of `key`, without reading a payload.
        """
        hits = _or(list[tuple[str, int]](), self._facet, key, where, limit)
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def clear(self) -> None:
        """Delete every memory."""
        _or(None, self._clear)

    def overwrite_payload(self, point_id: str, payload: Payload) -> None:
        """Replace the payload of a memory and keep its vectors; the text must be the same."""
        try:
            self._overwrite_payload(point_id, payload)
        except NoCollection:
            raise MemoryNotFound from None

    # ---- inside

    def _lists(self, requests: Sequence[Nearest]) -> Sequence[Sequence[Record]]:
        nothing: Sequence[Sequence[Record]] = [[] for _ in requests]
        return _or(nothing, self._query, requests)

    def _in_order(self, ids: Sequence[Listed]) -> Sequence[Record]:
        """The memories of a listing that still exist, in its order."""
        found = {record.id: record for record in self.get_many([one.id for one in ids])}
        return [found[one.id] for one in ids if one.id in found]


def _or(nothing: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `call`, or `nothing` where there is no collection."""
    try:
        return call(*args, **kwargs)
    except NoCollection:
        return nothing
