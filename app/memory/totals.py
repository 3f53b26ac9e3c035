"""How many memories there are, and whose."""

import math
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from app.errors import HistoryUnavailable
from app.memory.cataloguing import Cataloguing
from app.memory.comparing import Comparison
from app.security.scopes import Scope
from app.storage.history.catalogue import Catalogue
from app.storage.history.database import Database
from app.storage.history.filling import Filling
from app.storage.history.messages import Messages
from app.storage.history.rows import History
from app.storage.journal.journal import Journal
from app.storage.journal.writer import Writer
from app.storage.vectors.filters import in_scope
from app.storage.vectors.store import VectorStore

T = TypeVar("T")

REST_S = 5.0
"""After the database failed to answer, until it is asked again: no reader should wait for each."""


class Totals(Protocol):
    """Counts the memories of a scope, of everybody where it is empty; without `show_expired` only
    those that are not expired."""

    def total(self, scope: Scope, *, show_expired: bool) -> int: ...

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]]:
        """The values of `key`, one of SCOPE_KEYS, with how many memories have each: the most
        frequent first, then by value; at most `limit`."""

    def look_after(self) -> None:
        """In each round of maintenance."""

    def note(self) -> str | None:
        """For /ready."""

    def close(self) -> None: ...


class OfStore:
    """Counted by the vector store: exact in this process, and on a server up to 40,000 values."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def total(self, scope: Scope, *, show_expired: bool) -> int:
        return self._store.count(in_scope(scope, show_expired=show_expired))

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]]:
        return self._store.facet(key, in_scope(scope, show_expired=show_expired), limit)

    def look_after(self) -> None:
        """It counts anew each time."""

    def note(self) -> str | None:
        return None

    def close(self) -> None: ...


class OfCatalogue:
    """Counted in the database of a fleet; by the store until the catalogue has every memory, and
    while the database is away."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: VectorStore,
        cataloguing: Cataloguing,
        comparison: Comparison,
    ) -> None:
        self._catalogue = catalogue
        self._else = OfStore(store)
        self._cataloguing = cataloguing
        self._comparison = comparison
        self._rests_until = -math.inf

    def total(self, scope: Scope, *, show_expired: bool) -> int:
        total = self._unless_away(lambda: self._catalogue.total(scope, show_expired=show_expired))
        return self._else.total(scope, show_expired=show_expired) if total is None else total

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]]:
        values = self._unless_away(
            lambda: self._catalogue.values(key, scope, limit, show_expired=show_expired)
        )
        if values is None:
            return self._else.values(key, scope, limit, show_expired=show_expired)
        return values

    def _unless_away(self, ask: Callable[[], T | None]) -> T | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            return ask()
        except HistoryUnavailable:
            self._rests_until = time.monotonic() + REST_S
            return None

    def look_after(self) -> None:
        self._comparison.look()
        self._cataloguing.look()

    def note(self) -> str | None:
        return " ".join(filter(None, (self._comparison.note, self._cataloguing.note()))) or None

    def close(self) -> None:
        self._cataloguing.close()


def open_totals(store: VectorStore, database: Database, journal: Journal) -> Totals:
    """Of the catalogue where processes share the store."""
    if not store.shared:
        return OfStore(store)
    catalogue, filling = Catalogue(database), Filling(database)
    writer = Writer(store, Messages(database), journal)
    return OfCatalogue(
        catalogue,
        store,
        Cataloguing(store, writer, catalogue, filling),
        Comparison(store, History(database), catalogue, filling),
    )
