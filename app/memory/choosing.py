"""Chooses some of a scope's memories, by the key that wrote them and by their times."""

from collections.abc import Iterator

from app.errors import FilterTooExpensive
from app.memory.requests import Chosen
from app.security.scopes import Scope
from app.storage.history.rows import History
from app.storage.vectors.filters import Filter, created_between, in_scope
from app.storage.vectors.paging import PAGE, sliced
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

MAX_WRITTEN = 10_000
"""The most ids in one filter. With so many a page takes Edge 0.06 s among 100,000 memories; with
50,000 ids it takes 0.2 s, during which no other thread runs."""


class Choosing:
    """Finds in the history what a key has written."""

    def __init__(self, store: VectorStore, history: History) -> None:
        self._store = store
        self._history = history

    def conditions(self, asked: Chosen, scope: Scope) -> list[Filter]:
        """Conditions for a filter, that chosen memories pass. Raises FilterTooExpensive."""
        if asked.written_by is None:
            return created_between(asked.since, asked.until)
        ids = self._written(asked, scope)
        if len(ids) > MAX_WRITTEN:
            raise FilterTooExpensive(
                f"This key wrote more than {MAX_WRITTEN} memories: narrow it by since and until."
            )
        return [{"has_id": ids}]

    def records(self, asked: Chosen, scope: Scope) -> Iterator[Record]:
        """All chosen memories, including expired ones."""
        if asked.written_by is None:
            yield from self._among(scope, created_between(asked.since, asked.until))
            return
        for ids in sliced(self._written(asked, scope), PAGE):
            yield from self._among(scope, [{"has_id": [*ids]}])

    def _among(self, scope: Scope, conditions: list[Filter]) -> Iterator[Record]:
        return self._store.scan(in_scope(scope, show_expired=True, extra={"must": conditions}))

    def _written(self, asked: Chosen, scope: Scope) -> list[str]:
        return self._history.written(asked.written_by or "", scope, asked.since, asked.until)
