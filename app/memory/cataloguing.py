"""Filling the catalogue of a fleet from the store, while the service serves.

This is due where the store has memories that the catalogue does not know: from an earlier version,
from a history that was moved from a file, from mem0 itself or from a snapshot. One process reads
through the store in the order of ids, and after a crash another one goes on from there. Each memory
on which the store and the catalogue differ is read again under its lock, so no write in between is
missed, and no deleted memory comes back. Until the catalogue is complete, the store is asked for
users and totals.
"""

import logging
from collections.abc import Sequence

from app.memory.background import Background
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.catalogue import Catalogue, Entry, entry
from app.storage.history.filling import Filling
from app.storage.journal.writer import Writer
from app.storage.payloads import Payload
from app.storage.vectors.paging import ROWS, sliced
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Memories that are locked at once, for some tenths of a second at most."""
PAGES = 10
"""Pages of the catalogue that are read for one page of the store, where the store has fewer
memories there."""

FROM_STORE = "Users and totals come from the vector store: {}."


class Cataloguing:
    """Fills the catalogue, in one process of the fleet at a time."""

    def __init__(
        self,
        store: VectorStore,
        writer: Writer,
        catalogue: Catalogue,
        filling: Filling,
        page: int = ROWS,
    ) -> None:
        """`page` is the number of memories that are compared at once."""
        self._store = store
        self._writer = writer
        self._catalogue = catalogue
        self._filling = filling
        self._page = page
        self._work = Background("filling the catalogue", self.look_at_some, self._progress)

    def look(self) -> None:
        """Begin to fill the catalogue, or go on for a dead process, where that is due. Called in
        each round of maintenance, in every process."""
        progress = self._filling.progress()
        if self._filling.has_to_wait():
            if progress.complete or progress.after:
                log.warning("a process of an earlier version writes: the catalogue is filled again")
                self._filling.begin_again(also_under_way=True)
            return
        if progress.complete:
            return
        journal, other = self._writer.journal, progress.process
        if other == journal.process or (
            (other is None or journal.liveness.dead_among([other]))
            and self._filling.claim(journal.process, other)
        ):
            self._work.begin()

    def note(self) -> str | None:
        """Why the catalogue is not in use yet, for /ready; None where it is."""
        if self._filling.has_to_wait():
            return FROM_STORE.format("processes of an earlier version are still at work")
        if self._filling.progress().complete:
            return None
        return FROM_STORE.format(self._progress())

    def close(self) -> None:
        self._work.close()

    def _progress(self) -> str:
        seen = self._filling.progress().seen
        return f"{seen} memories were looked at for the catalogue until now"

    def look_at_some(self) -> bool:
        """Compare the next memories. Returns whether this process has to go on."""
        process, progress = self._writer.journal.process, self._filling.progress()
        if progress.complete or progress.process != process:
            return False
        owned, after = self._store.owned(progress.after, self._page)
        most = PAGES * self._page
        known = self._catalogue.between(progress.after, after, most)
        if len(known) == most:
            after = [*known][-1]
        there = {id_: entry(owned[id_]) for id_ in owned if after is None or id_ < after}
        self._correct(there, known)
        if after is not None:
            return self._filling.advance(process, after, progress.seen + len(there))
        if self._filling.complete(process):
            log.info("users and totals come from the catalogue, which has every memory now")
        return False

    def _correct(self, there: dict[str, Entry], known: dict[str, Entry]) -> None:
        """Update the rows of the memories on which the store, `there`, and the catalogue, `known`,
        differ."""
        differing = {
            id_: there.get(id_) or known[id_]
            for id_ in {**there, **known}
            if there.get(id_) != known.get(id_)
        }
        for ids in sliced([*differing], AT_ONCE):
            with self._writer.alone_with_many({id_: _scope(differing[id_]) for id_ in ids}):
                self._filling.bring({**dict.fromkeys(ids), **self._stored(ids)})

    def _stored(self, ids: Sequence[str]) -> dict[str, Payload]:
        parts = sliced(ids, self._store.read_at_once)
        return {one.id: one.payload for part in parts for one in self._store.get_many(part)}


def _scope(one: Entry) -> Scope:
    return {key: one[key] for key in SCOPE_KEYS if one[key]}
