"""The maintenance thread: it recovers, flushes and tidies, and no error ends it."""

import logging
import threading
from collections.abc import Callable, Sequence

from app.errors import MaintenanceFailed, ServiceError
from app.storage.history.rows import History
from app.storage.journal.journal import Journal
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

DIFFERENT = (
    "The vector store has {} memories, the history knows {}: if one of them comes from a backup, "
    "restore the other from the same moment."
)

CLOSE_S = 60.0


class Maintenance:
    """Runs a round at the start, and then every few seconds."""

    def __init__(
        self,
        journal: Journal,
        store: VectorStore,
        history: History,
        seconds: float,
        chores: Sequence[Callable[[], None]] = (),
        begin_anew: Callable[[], None] = lambda: None,
    ) -> None:
        """`chores` are called in each round. `begin_anew`: see Writer.begin_anew_if_lost."""
        self._journal = journal
        self._store = store
        self._history = history
        self._seconds = seconds
        self._chores = chores
        self._begin_anew = begin_anew
        self._end = threading.Event()
        self._failure: str | None = None
        self._note = ""
        self._compared = False
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
        self._thread.start()

    def check(self) -> str | None:
        """A note for operators, or None. Raises MaintenanceFailed when the last round failed."""
        if self._failure:
            raise MaintenanceFailed(
                f"The maintenance thread fails with {self._failure}: unfinished writes are not "
                "settled. Its log says where; it is tried again."
            )
        notes = [self._note] if self._note else []
        if unsure := self._journal.unsure:
            notes.append(f"{unsure} writes wait to be settled.")
        if kept := self._journal.unreadable:
            notes.append(
                "Kept for the version that left them: the unfinished writes "
                f"{', '.join(map(str, kept))}."
            )
        return " ".join(notes) or None

    def close(self) -> None:
        self._end.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            self._failure = self._failed_round()
            if self._end.wait(self._seconds):
                return

    def _failed_round(self) -> str | None:
        """Run one round. Returns the name of an unexpected exception, if there was one."""
        try:
            self._begin_anew()
            self._journal.recover(self._store)
            self._journal.flushed(self._store.flush)
            for chore in self._chores:
                chore()
            self._journal.database.tidy()
            self._compare()
        except ServiceError as error:
            log.warning("not settled yet: %s", error.code)
        except Exception as error:
            # No error may end this thread, because it recovers all unfinished writes.
            log.critical("a round of maintenance failed: %s", type(error).__name__, exc_info=error)
            return type(error).__name__
        return None

    def _compare(self) -> None:
        """Compare the numbers of memories in the store and the history, once. They differ where
        backups of different moments were restored."""
        # A fleet looks by itself: what others write meanwhile makes them differ too.
        if self._compared or self._journal.unsure or self._journal.catalogued:
            return
        stored = self._store.count({})
        self._compared = True  # even if the next count takes the database too long
        known = self._history.living()
        if stored != known:
            self._note = DIFFERENT.format(stored, known)
            log.warning("%s", self._note)
