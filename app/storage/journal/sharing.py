"""The parts of the journal that differ between a single process and a fleet."""

import logging
from collections.abc import Callable, Sequence

from app.storage.history.database import Database
from app.storage.history.deletions import Deletions
from app.storage.history.held import NO_LOCKS, Under
from app.storage.history.tombstones import Tombstones
from app.storage.journal.writes import Deletion, Intent
from app.storage.listings import Listings
from app.storage.locks import Locks, ThreadLocks
from app.storage.shared_listings import SharedListings
from app.storage.shared_locks import SharedLocks
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)


class Alone:
    """For the threads of one process."""

    def __init__(self) -> None:
        self.locks: Locks = ThreadLocks()
        self.listings = Listings()

    def under(self, intent: Intent) -> Under:
        """The locks that other processes must respect as long as `intent` is open."""
        return NO_LOCKS

    def are_finished(self, intents: Sequence[Intent]) -> None:
        """Nobody has to see their locks any more."""

    def tidy(self, store: VectorStore) -> None:
        """Called in each round of maintenance."""


class InFleet(Alone):
    """For processes that share both stores: the workers of one host, or a fleet on any number of
    hosts."""

    def __init__(self, database: Database, process: Callable[[], str]) -> None:
        """`process`: see SharedLocks."""
        self.locks = self._shared = SharedLocks(database, process)
        self.listings = SharedListings(database)
        self._tombstones = Tombstones(database)
        self._deletions = Deletions(database)

    def under(self, intent: Intent) -> Under:
        if isinstance(intent, Deletion):
            return Under(scope=intent.scope)
        return Under(intent.ids, [id_ for id_ in intent.ids if id_ not in {*intent.adds}])

    def are_finished(self, intents: Sequence[Intent]) -> None:
        self._shared.are_gone([id_ for one in intents for id_ in self.under(one).memories])

    def tidy(self, store: VectorStore) -> None:
        """Release locks that are left, and delete memories that arrived late, see guarded.py."""
        self._shared.release_left()
        self._deletions.sweep()
        if late := [record.id for record in store.get_many(self._tombstones.dead())]:
            store.delete_many(late)
            log.info("memories were deleted that arrived late: %d", len(late))
