"""Intents as rows: kept before a write begins, and replaced by the history of what it did."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from app.security.scopes import Scope
from app.storage.history import (
    answers,
    deletions,
    held,
    parts,
    rows,
    together,
    tombstones,
)
from app.storage.history.database import Database
from app.storage.history.erased import Erased
from app.storage.history.finishing import Finishing, close, drop, numbered
from app.storage.history.held import NO_LOCKS, Under
from app.storage.history.parts import Part
from app.storage.history.schema import ANSWERS, INTENTS, LOCKS, PROCESSES
from app.storage.history.together import Finished, NewIntent


class StoredIntent(NamedTuple):
    number: int
    id: str
    done: bool
    collecting: bool
    """Cut off while it was written down: nothing was done yet."""
    version: int
    body: str


class Intents:
    """The intents of a database, of every process that writes to it."""

    def __init__(self, database: Database, *, catalogued: bool = False) -> None:
        """With `catalogued` what they do is followed in the catalogue."""
        self._database = database
        self._catalogued = catalogued

    def begin(
        self, process: str, new: NewIntent, *, first: Part | None = None, collecting: bool = False
    ) -> int:
        """Keep an intent; its number.

        A deletion brings its first part. One that is `collecting` gets more by `append`, and is
        whole after `complete`; when it is whole others see it, see deletions.py. Raises what
        `together.begin` does.
        """

        def write(connection: Connection) -> int:
            [number] = together.begin(connection, process, [new], collecting=collecting)
            if first:
                parts.add(connection, number, first)
                if not collecting:
                    deletions.begin(connection, new.id, new.under.scope)
            return number

        return self._database.write(write)

    def begin_all(self, process: str, new: Sequence[NewIntent]) -> list[int]:
        """Keep several, none of them a deletion; their numbers."""
        return self._database.write(lambda connection: together.begin(connection, process, new))

    def append(self, number: int, part: Part) -> None:
        self._database.write(lambda connection: parts.add(connection, number, part))

    def complete(self, number: int, id_: str, under: Under = NO_LOCKS) -> None:
        def write(connection: Connection) -> None:
            connection.execute(update(INTENTS).where(numbered(number)).values(collecting=False))
            deletions.begin(connection, id_, under.scope)

        self._database.write(write)

    def finish(self, finished: Finished, *, keep: bool) -> None:
        """Put what was done in the place of an open intent, which is kept as done where `keep` says
        so. Nothing where it was finished before: then that is there."""

        def write(connection: Connection) -> None:
            if close(connection, finished.number, keep=keep):
                together.record(connection, [finished], catalogued=self._catalogued)

        self._database.write(write)

    def finish_all(self, finished: Sequence[Finished], *, keep: bool) -> None:
        """The same for several."""
        finish = partial(together.finish, keep=keep, catalogued=self._catalogued)
        self._database.write(partial(finish, finished=finished))

    def finish_deletion(
        self,
        number: int,
        scope: Scope | None,
        *,
        keep: bool,
        purge: bool,
        last_job: int = 0,
    ) -> Erased:
        """Put the rows of all parts into the history, and forget what was said in `scope`.

        {} is a reset and leaves nothing of the history; None forgets nothing. Jobs of `scope` that
        were accepted up to the number `last_job`, and have not ended, are cancelled. `purge` also
        erases the texts of the memories of `scope`, of those deleted before too, from the history,
        the answers and the jobs; their events stay. One transaction for up to a thousand rows,
        several for more, between which others write; may be cut off and called again. What it
        erased this time.
        """
        after: int | None = 0
        erased = Erased()
        finishing = Finishing(
            number, scope, keep=keep, purge=purge, last_job=last_job, catalogued=self._catalogued
        )
        while after is not None:
            after, some = self._database.write(partial(finishing.some, after))
            erased = erased.plus(some)
        return erased

    def living(self, memory_ids: Collection[str]) -> set[str]:
        """Those memories that the history says are there."""
        with self._database.reading() as connection:
            last = rows.last_events(connection, memory_ids)
        return {id_ for id_, event in last.items() if event != "DELETE"}

    def cancel(self, id_: str, *, dead: Collection[str] = ()) -> None:
        """The write of an open intent did not take place, if it was begun at all. `dead`: new
        memories that may arrive late, see tombstones.py."""

        def write(connection: Connection) -> None:
            tombstones.keep(connection, dead)
            mine = (INTENTS.c.id == id_) & ~INTENTS.c.done
            found = select(INTENTS.c.seq).where(mine).with_for_update()
            for number in connection.scalars(found).all():
                answers.drop(connection, number)
                drop(connection, numbered(number))
            deletions.end(connection, id_)

        # It may be written down only now, by a transaction whose end nobody was told of.
        self._database.write(write, after_others=True)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drop intents that were done for good."""
        for start in range(0, len(numbers), 500):  # far below any database's bound on variables
            these = INTENTS.c.seq.in_(numbers[start : start + 500])
            self._database.write(partial(drop, which=these))

    def number(self, id_: str) -> int | None:
        """Of an intent that is open; None where it was finished, or never begun."""
        query = select(INTENTS.c.seq).where(INTENTS.c.id == id_, ~INTENTS.c.done)
        # By a write: so it comes after every one that is still under way.
        return self._database.write(lambda connection: connection.scalar(query), after_others=True)

    def ids(self, number: int, at_once: int) -> Iterator[list[str]]:
        """The ids of all parts, up to so many at once; parts are never split."""
        return parts.ids(self._database, number, at_once)

    def of(self, process: str) -> list[StoredIntent]:
        """Those of a process, in the order of their writes."""
        names = ("seq", "id", "done", "collecting", "version", "body")
        columns = [INTENTS.c[name] for name in names]
        query = select(*columns).where(INTENTS.c.process == process).order_by(INTENTS.c.seq)
        with self._database.reading() as connection:
            return [StoredIntent(*row) for row in connection.execute(query)]

    def processes(self) -> list[str]:
        """Who has intents, requests with a key at work, or locks; and who keeps no catalogue, so
        that it is known when none of those is left."""
        asking = ANSWERS.c.answer.is_(None) & ~ANSWERS.c.erased
        query = select(INTENTS.c.process).union(
            select(ANSWERS.c.process).where(asking),
            select(LOCKS.c.process),
            select(PROCESSES.c.id).where(PROCESSES.c.schema_version.is_(None)),
        )
        with self._database.reading() as connection:
            return [*connection.scalars(query)]

    def done_again(self, ids: Collection[str]) -> None:
        """Before new memories are put once more, see tombstones.py."""
        self._database.write(lambda connection: tombstones.keep(connection, ids))

    def release_locks(self, process: str) -> None:
        """Of a process that is gone; those of its intents go with these."""
        self._database.write(lambda connection: held.release_all(connection, process))

    def writing_beside(self, process: str) -> list[str]:
        """The other processes that have open intents: at work, or dead."""
        query = select(INTENTS.c.process).distinct()
        with self._database.reading() as connection:
            return [*connection.scalars(query.where(INTENTS.c.process != process, ~INTENTS.c.done))]

    def done(self, process: str) -> list[int]:
        """The numbers of a process's intents that were done."""
        query = select(INTENTS.c.seq).where(INTENTS.c.process == process, INTENTS.c.done)
        with self._database.reading() as connection:
            return [*connection.scalars(query)]
