"""The words that Edge's hits share with a query."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from qdrant_edge import EdgeShard

from app.storage.vectors.base import SPARSE
from app.storage.vectors.paging import sliced


class Words:
    """The words of the memories that searches have met lately, by their numbers: to read them
    takes as long as to find the memories. Safe for many threads."""

    MANY = 500  # words; a memory that has more is read again
    AT_ONCE = 64  # memories that are read: of the largest, 30 MB of words

    def __init__(self, most: int = 20_000) -> None:
        """Of so many memories: 5 MB where they have ten words each, 40 MB where they have 500."""
        self._most = most
        self._known: dict[int, tuple[int, array[int]]] = {}  # with the version of the point

    def of(
        self, hits: Mapping[int, Any], asked: frozenset[int], shard: EdgeShard
    ) -> dict[int, frozenset[int]]:
        """Which of the words that are `asked` for each has."""
        found = {}
        unknown = []
        for id_, hit in hits.items():
            version, words = self._known.get(id_, (None, ()))
            if version == hit.version:
                found[id_] = asked.intersection(words)
            else:
                unknown.append(id_)
        if len(self._known) + len(unknown) > self._most:
            self._known.clear()
        found |= dict.fromkeys(unknown, frozenset())  # one may be gone since
        for part in sliced(unknown, self.AT_ONCE):
            for point in shard.retrieve([*map(id_text, part)], False, [SPARSE]):
                id_ = point.id.int  # type: ignore[union-attr]  # ours are UUIDs
                read = words_of(point.vector)
                found[id_] = asked.intersection(read)
                if len(read) <= self.MANY:
                    self._known[id_] = (hits[id_].version, array("I", read))
        return found

    def forget(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._known.pop(UUID(id_).int, None)

    def forget_all(self) -> None:
        self._known.clear()


def id_text(number: int) -> str:
    """The id of a point as callers know it."""
    return str(UUID(int=number))


def words_of(vector: Any) -> Sequence[int]:
    """The ids of the words of a point that was read with its sparse vector."""
    indices: Sequence[int] = vector[SPARSE].indices if vector else ()
    return indices
