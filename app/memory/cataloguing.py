"""The catalogue of a fleet is filled from the store while the service serves.

That is due where memories are there that it does not know: a history of an earlier version, one
that was moved from a file, a collection that mem0 itself or a snapshot brought. One process looks
through the store, in the order of ids, and goes on where it, or one before it, has come to. What
differs is looked at again under its locks, so nothing that is written meanwhile is missed or comes
back. Until the end is reached users and totals are counted by the store.
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
"""Memories that are locked at the same time, for some tenths of a second at most."""
PAGES = 10  # of rows of the catalogue that are held at once, where the store has fewer

FROM_STORE = "Users and totals come from the vector store: {}."


class Cataloguing:
    """Looks after the filling in each round of maintenance, in every process."""

    def __init__(
        self,
        store: VectorStore,
        writer: Writer,
        catalogue: Catalogue,
        filling: Filling,
        page: int = ROWS,
    ) -> None:
        """`page`: how many memories are compared at once."""
        self._store = store
        self._writer = writer
        self._catalogue = catalogue
        self._filling = filling
        self._page = page
        self._work = Background("filling the catalogue", self.look_at_some, self._progress)

    def look(self) -> None:
        """Begin, or go on for a process that is gone, where that is due and nobody is at it."""
        progress, waits = self._filling.progress(), self._filling.has_to_wait()
        if progress.complete and waits:
            log.warning("a process of an earlier version writes: the catalogue is filled again")
            self._filling.begin_again()
        if progress.complete or waits:
            return
        journal, other = self._writer.journal, progress.process
        if other == journal.process or (
            (other is None or journal.liveness.dead_among([other]))
            and self._filling.claim(journal.process, other)
        ):
            self._work.begin()

    def note(self) -> str | None:
        """For /ready, as long as the catalogue is not used."""
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
        """The next memories; whether this process is to go on."""
        process, progress = self._writer.journal.process, self._filling.progress()
        if progress.complete or progress.process != process:
            return False
        owned, after = self._store.owned(progress.after, self._page)
        most = PAGES * self._page
        known = self._catalogue.between(progress.after, after, most)
        if len(known) == most:
            after = [*known][-1]
        there = {id_: entry(owned[id_]) for id_ in owned if after is None or id_ < after}
        self._bring(there, known)
        if after is not None:
            return self._filling.advance(process, after, progress.seen + len(there))
        if self._filling.complete(process):
            log.info("users and totals come from the catalogue, which has every memory now")
        return False

    def _bring(self, there: dict[str, Entry], known: dict[str, Entry]) -> None:
        """Those of which the store says something else than the catalogue."""
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
