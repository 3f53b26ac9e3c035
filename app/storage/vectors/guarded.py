"""Writes that change a memory only if it is still as it was read.

For a store that several processes share: one that was stopped, or cut off, may send a write long
after others have settled what it was about. Every write to a memory gives it another revision, and
names the one that it replaces, so a late one meets another and changes nothing. The engine does not
say whether it did: who has to know reads the memory back.
"""

from collections.abc import Mapping, Sequence

from app.embeddings import Vector
from app.errors import MemoryNotFound
from app.storage.payloads import REVISION, Payload
from app.storage.vectors.base import NoCollection
from app.storage.vectors.filters import Filter
from app.storage.vectors.points import NewPoint
from app.storage.vectors.worded import WordedStore


def as_read(memory_id: str, revision: str | None) -> Filter:
    """The memory, if it has that revision; None: it never got one."""
    if revision is None:
        own: Filter = {"is_empty": {"key": REVISION}}
    else:
        own = {"key": REVISION, "match": {"value": revision}}
    return {"must": [{"has_id": [memory_id]}, own]}


class GuardedStore(WordedStore):
    """Only an engine that is `shared` has to be able to do any of it."""

    shared = False
    """Whether processes on other hosts write to it too."""

    def insert(self, memories: Mapping[str, tuple[Vector | None, Payload]]) -> None:
        """Write memories of which the ids are not there yet."""
        points = self._points(memories)
        try:
            self._insert(points)
        except NoCollection:  # a server came back empty
            self._make_again()
            self._insert(points)

    def replace(
        self, memory_id: str, dense: Vector | None, payload: Payload, revision: str | None
    ) -> None:
        """Another payload and, unless `dense` is None, other vectors of a memory with that
        `revision`. Raises MemoryNotFound where there is no collection."""
        guard = as_read(memory_id, revision)
        try:
            if dense is None:
                self._replace_payload(guard, payload)
            else:
                [point] = self._points({memory_id: (dense, payload)})
                self._replace(point, guard)
        except NoCollection:
            raise MemoryNotFound from None

    def remove(self, memory_id: str, revision: str | None) -> None:
        """Delete a memory with that `revision`. Raises MemoryNotFound as `replace` does."""
        try:
            self._remove(as_read(memory_id, revision))
        except NoCollection:
            raise MemoryNotFound from None

    def _points(self, memories: Mapping[str, tuple[Vector | None, Payload]]) -> list[NewPoint]:
        return [
            NewPoint(
                point_id,
                None if dense is None else self._checked(dense),
                self._bm25.document(payload.get("data", "")),
                payload,
            )
            for point_id, (dense, payload) in memories.items()
        ]

    # ---- of the engine; each raises NoCollection, as all of them do

    def _insert(self, points: Sequence[NewPoint]) -> None:
        """Those of which the id is not there yet."""
        raise NotImplementedError

    def _replace(self, point: NewPoint, guard: Filter) -> None:
        """If the point of that id is there and passes `guard`."""
        raise NotImplementedError

    def _replace_payload(self, guard: Filter, payload: Payload) -> None:
        raise NotImplementedError

    def _remove(self, guard: Filter) -> None:
        raise NotImplementedError
