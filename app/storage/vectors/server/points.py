"""How the points of one collection are asked for, over REST or over gRPC."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Cursor, Listed
from app.storage.vectors.points import Nearest, NewPoint
from app.storage.vectors.ranking import Record

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The id of a point that is never there: asked for, or deleted, to see whether that is done."""
EXACT_COUNT = True
"""Totals are told to callers; an estimate would not agree with what is listed."""


class Points(ABC):
    """What a server is asked of points; each call is one request.

    Raises NoCollection, and what `errors.translated` raises.
    """

    transport: str
    """As logs name it."""

    @abstractmethod
    def upsert(self, points: Sequence[NewPoint], *, with_words: bool) -> None: ...

    @abstractmethod
    def insert(self, points: Sequence[NewPoint], *, with_words: bool) -> None:
        """Those of which the id is not there yet; the others stay as they are."""

    @abstractmethod
    def replace(self, point: NewPoint, guard: Filter, *, with_words: bool) -> None:
        """The point of that id, if it is there and passes `guard`; the answer does not tell."""

    @abstractmethod
    def overwrite_payload(self, point_id: str, payload: Payload) -> None: ...

    @abstractmethod
    def overwrite_where(self, guard: Filter, payload: Payload) -> None:
        """Of all points that pass `guard`."""

    @abstractmethod
    def retrieve(self, ids: Sequence[str]) -> list[Record]:
        """The points that are there, with their payloads."""

    @abstractmethod
    def query(self, requests: Sequence[Nearest], offset: int) -> list[list[Record]]:
        """Each list from its `offset`th hit on; `ids_only` ones have no payloads."""

    @abstractmethod
    def newest(self, where: Filter, limit: int, after: Cursor | None) -> list[Listed]: ...

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None: ...

    @abstractmethod
    def delete_where(self, guard: Filter) -> None:
        """All points that pass `guard`."""

    @abstractmethod
    def count(self, where: Filter) -> int: ...

    @abstractmethod
    def facet(self, key: str, where: Filter, limit: int) -> list[tuple[str, int]]:
        """Not exact: that asks for each value by a query of its own."""
