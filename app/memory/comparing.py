"""Whether a fleet's store and its history are of one moment: one may come from a backup."""

import logging

from app.storage.history.catalogue import Catalogue
from app.storage.history.filling import Filling
from app.storage.history.rows import History
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

TRIES = 6
"""So many times they have to differ: what others write just now is in one of them first."""


class Comparison:
    """Looks in the rounds of maintenance after the start, until they agree or differ for good."""

    def __init__(
        self, store: VectorStore, history: History, catalogue: Catalogue, filling: Filling
    ) -> None:
        self._store = store
        self._history = history
        self._catalogue = catalogue
        self._filling = filling
        self._tries = TRIES
        self.note: str | None = None

    def look(self) -> None:
        if not self._tries:
            return
        stored = self._store.count({})
        self._tries -= 1
        catalogued = self._catalogue.total({}, show_expired=True)
        if catalogued is None:
            self._tries = 0  # once: the history may be more than a database counts in time
        known = self._history.living() if catalogued is None else catalogued
        if stored == known:
            self._tries = 0
        elif not self._tries:
            self._tell(stored, known)
            self._filling.begin_again()

    def _tell(self, stored: int, known: int) -> None:
        self.note = (
            f"The vector store has {stored} memories, the history knows {known}: if one of "
            "them comes from a backup, restore the other from the same moment."
        )
        log.warning("%s", self.note)
