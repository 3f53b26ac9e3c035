"""Checks whether the store and the history of a fleet are from the same moment."""

import logging

from app.storage.history.catalogue import Catalogue
from app.storage.history.filling import Filling
from app.storage.history.rows import History
from app.storage.journal.maintenance import DIFFERENT
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)


class Comparison:
    """Compares the numbers of memories once after the start, and where they differ has the
    catalogue filled again.

    It waits for a moment without writes, because a write reaches the store first.
    """

    def __init__(
        self, store: VectorStore, history: History, catalogue: Catalogue, filling: Filling
    ) -> None:
        self._store = store
        self._history = history
        self._catalogue = catalogue
        self._filling = filling
        self._looked = False
        self.note: str | None = None
        """That they differ, for /ready."""

    def look(self) -> None:
        """Compare them, unless that was done. Called in each round of maintenance."""
        before = None if self._looked else self._filling.at_rest()
        if before is None:
            return
        stored = self._store.count({})
        known = self._known()
        if self._filling.at_rest() == before:
            self._looked = True
            if stored != known:
                self.note = DIFFERENT.format(stored, known)
                log.warning("%s", self.note)
                self._filling.begin_again()

    def _known(self) -> int:
        total = self._catalogue.total({}, show_expired=True)
        if total is None:
            self._looked = True  # the history may be more than a database counts in time
            total = self._history.living()
        return total
