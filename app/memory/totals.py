"""Totals and values: how many memories a scope has, and which users, agents, apps and runs."""

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
"""Seconds for which the database is not asked after it failed, so that only one reader waits for
it."""


class Totals(Protocol):
    """Counts memories; those that have expired only with `show_expired`."""

    def total(self, scope: Scope, *, show_expired: bool) -> int:
        """The number of memories in a scope; of all users where it is empty."""

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]]:
        """Up to `limit` values of `key`, one of SCOPE_KEYS, each with its number of memories: the
        most frequent first, then by value."""

    def look_after(self) -> None:
        """Do what is due, in each round of maintenance."""

    def note(self) -> str | None:
        """What an operator may want to know, for /ready."""

    def close(self) -> None: ...


class OfStore:
    """Totals that the vector store counts: exact in the embedded one, and on a server for up to
    40,000 values."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def total(self, scope: Scope, *, show_expired: bool) -> int:
        return self._store.count(in_scope(scope, show_expired=show_expired))

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]]:
        return self._store.facet(key, in_scope(scope, show_expired=show_expired), limit)

    def look_after(self) -> None:
        """Nothing is kept."""

    def note(self) -> str | None:
        return None

    def close(self) -> None: ...


class OfCatalogue:
    """Totals of a fleet, counted in its catalogue; by the store until the catalogue is complete,
    and while the database does not answer."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: VectorStore,
        cataloguing: Cataloguing,
        comparison: Comparison,
        rest_s: float = REST_S,
    ) -> None:
        self._catalogue = catalogue
        self._else = OfStore(store)
        self._cataloguing = cataloguing
        self._comparison = comparison
        self._rest_s = rest_s
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
            self._rests_until = time.monotonic() + self._rest_s
            return None

    def look_after(self) -> None:
        self._comparison.look()
        self._cataloguing.look()

    def note(self) -> str | None:
        return " ".join(filter(None, (self._comparison.note, self._cataloguing.note()))) or None

    def close(self) -> None:
        self._cataloguing.close()


def open_totals(store: VectorStore, database: Database, journal: Journal) -> Totals:
    """Totals by the catalogue where writes update it, else by the store."""
    if not journal.catalogued:
        return OfStore(store)
    catalogue, filling = Catalogue(database), Filling(database)
    writer = Writer(store, Messages(database), journal)
    return OfCatalogue(
        catalogue,
        store,
        Cataloguing(store, writer, catalogue, filling),
        Comparison(store, History(database), catalogue, filling),
    )
