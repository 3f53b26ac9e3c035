"""A cache of the details that ranking needs of Edge's hits: their words, and their turns."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from qdrant_edge import EdgeShard

from app.storage.vectors.base import SPARSE
from app.storage.vectors.paging import sliced
from app.storage.vectors.ranking import NO_TURN, TURN_KEYS, Turn, turn_of

Known = tuple[frozenset[int], Turn]
"""The words of the query that a memory has, and its turn."""


class Details:
    """The words and turns of the memories that recent searches found, by their numbers. Reading
    them takes as long as finding the memories. Safe for many threads."""

    MANY = 500  # words; a memory with more is not cached

    def __init__(self, at_once: int, most: int = 20_000) -> None:
        """`at_once`: how many memories one call reads, since each may be large. `most`: how many
        are cached; 20,000 take 10 MB with ten words each, and 45 MB with 500."""
        self._at_once = at_once
        self._most = most
        self._known: dict[int, tuple[int, array[int], Turn]] = {}  # with the point's version

    def of(
        self, hits: Mapping[int, Any], asked: frozenset[int], shard: EdgeShard
    ) -> dict[int, Known]:
        found: dict[int, Known] = {}
        unknown = []
        for id_, hit in hits.items():
            known = self._known.get(id_)
            if known and known[0] == hit.version:
                found[id_] = asked and asked.intersection(known[1]), known[2]
            else:
                unknown.append(id_)
        if len(self._known) + len(unknown) > self._most:
            self._known.clear()
        found |= dict.fromkeys(unknown, (frozenset[int](), NO_TURN))  # for deleted ones
        for part in sliced(unknown, self._at_once):
            for point in shard.retrieve([*map(id_text, part)], [*TURN_KEYS], [SPARSE]):
                id_ = point.id.int  # type: ignore[union-attr]  # ours are UUIDs
                words, turn = words_of(point.vector), turn_of(point.payload or {})
                found[id_] = asked.intersection(words), turn
                if len(words) <= self.MANY and len(self._known) < self._most:
                    self._known[id_] = (hits[id_].version, array("I", words), turn)
        return found

    def forget(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._known.pop(UUID(id_).int, None)

    def forget_all(self) -> None:
        self._known.clear()


def id_text(number: int) -> str:
    """The public id of a point."""
    return str(UUID(int=number))


def words_of(vector: Any) -> Sequence[int]:
    """The ids of a point's words, from its sparse vector."""
    indices: Sequence[int] = vector[SPARSE].indices if vector else ()
    return indices
