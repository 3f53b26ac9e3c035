"""The interface for the points of a collection, over REST or gRPC."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed
from app.storage.vectors.points import Nearest, NewPoint
from app.storage.vectors.ranking import Record

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The id of a point that never exists. Reading or deleting it checks whether that is possible."""
EXACT_COUNT = True
"""Callers see totals, and an estimate would not agree with the listing."""


class Points(ABC):
    """Calls about points; each makes one request.

    Raises NoCollection, and what `errors.translated` raises.
    """

    transport: str
    """The name of the transport in the log."""

    @abstractmethod
    def upsert(self, points: Sequence[NewPoint], *, with_words: bool) -> None: ...

    @abstractmethod
    def insert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        """Write the points whose ids do not exist yet; the others stay as they are."""

    @abstractmethod
    def replace(self, point: NewPoint, guard: Filter, *, with_words: bool) -> None:
        """Replace the point of that id, if it exists and passes `guard`. The answer does not say
        whether it was."""

    @abstractmethod
    def overwrite_payload(self, point_id: str, payload: Payload) -> None: ...

    @abstractmethod
    def overwrite_where(self, guard: Filter, payload: Payload) -> None:
        """Replace the payload of all points that pass `guard`."""

    @abstractmethod
    def retrieve(self, ids: Sequence[str]) -> list[Record]:
        """The points that exist, with their payloads."""

    @abstractmethod
    def query(self, requests: Sequence[Nearest], offset: int) -> list[list[Record]]:
        """The lists of the requests, each from its hit number `offset` on. Lists that are
        `ids_only` have no payloads."""

    @abstractmethod
    def newest(self, where: Filter, limit: int, after: Cursor | None) -> list[Listed]: ...

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None: ...

    @abstractmethod
    def delete_where(self, guard: Filter) -> None:
        """Delete all points that pass `guard`."""

    @abstractmethod
    def count(self, where: Filter) -> int: ...

    @abstractmethod
    def facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        """The values of `key` with their numbers of points. Not exact, because an exact facet makes
        a query for each value."""
