"""Guarded writes: they change a memory only if it still has the revision that was read.

They are for a store that several processes share: a process that was stopped, or cut off, may send
a write long after others have recovered it. Every write gives a memory a new revision, and names
the one that it replaces, so that a late write changes nothing. The engine does not report whether a
write changed anything; a caller that has to know reads the memory again.
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
    """A filter for the memory, if it has that revision; None stands for a memory without one."""
    if revision is None:
        own: Filter = {"is_empty": {"key": REVISION}}
    else:
        own = {"key": REVISION, "match": {"value": revision}}
    return {"must": [{"has_id": [memory_id]}, own]}


class GuardedStore(WordedStore):
    """A store with guarded writes, which only an engine that is `shared` has to offer."""

    shared = False
    """Whether processes on other hosts write to it, too."""

    def insert(self, memories: Mapping[str, tuple[Vector | None, Payload]]) -> None:
        """Write the memories whose ids do not exist yet."""
        points = self._points(memories)
        try:
            self._insert(points)
        except NoCollection:  # the server lost its data
            self._write_again(self._insert, points)

    def replace(
        self, memory_id: str, dense: Vector | None, payload: Payload, revision: str | None
    ) -> None:
        """Replace the payload and, unless `dense` is None, the vectors of a memory with that
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

    # ---- methods of the engine; each may raise NoCollection

    def _insert(self, points: Sequence[NewPoint]) -> None:
        """Write the points whose ids do not exist yet."""
        raise NotImplementedError

    def _replace(self, point: NewPoint, guard: Filter) -> None:
        """Replace the point of that id, if it exists and passes `guard`."""
        raise NotImplementedError

    def _replace_payload(self, guard: Filter, payload: Payload) -> None:
        raise NotImplementedError

    def _remove(self, guard: Filter) -> None:
        raise NotImplementedError
