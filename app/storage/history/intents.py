"""Intents as rows: stored before a write begins, and replaced by the history of what it did."""

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
    """Whether its parts were still being stored, so that its write has not begun."""
    version: int
    body: str


class Intents:
    """The intents in a database, of all processes that write to it."""

    def __init__(self, database: Database, *, catalogued: bool = False) -> None:
        """`catalogued`: whether the catalogue has to follow the writes."""
        self._database = database
        self._catalogued = catalogued

    def begin(
        self, process: str, new: NewIntent, *, first: Part | None = None, collecting: bool = False
    ) -> int:
        """Store an intent. Returns its number.

        A deletion has a first part. With `collecting` it gets more by `append`, and is complete
        after `complete`. Other processes see a deletion when it is complete, see deletions.py.
        Raises what `together.begin` does.
        """

        def write(connection: Connection) -> int:
            [number] = together.begin(connection, process, [new], collecting=collecting)
            if first:
                parts.add(connection, number, first)
            # A reset may clear the store without a list of what is there.
            if (first or new.under.scope == {}) and not collecting:
                deletions.begin(connection, new.id, new.under.scope)
            return number

        return self._database.write(write)

    def begin_all(self, process: str, new: Sequence[NewIntent]) -> list[int]:
        """Store several intents, none of them a deletion. Returns their numbers."""
        return self._database.write(lambda connection: together.begin(connection, process, new))

    def append(self, number: int, part: Part) -> None:
        self._database.write(lambda connection: parts.add(connection, number, part))

    def complete(self, number: int, id_: str, under: Under = NO_LOCKS) -> None:
        def write(connection: Connection) -> None:
            connection.execute(update(INTENTS).where(numbered(number)).values(collecting=False))
            deletions.begin(connection, id_, under.scope)

        self._database.write(write)

    def finish(self, finished: Finished, *, keep: bool) -> None:
        """Replace an open intent by what its write did, or, with `keep`, mark it as done. Does
        nothing where the intent was finished before."""

        def write(connection: Connection) -> None:
            if close(connection, finished.number, keep=keep):
                together.record(connection, [finished], catalogued=self._catalogued)

        self._database.write(write)

    def finish_all(self, finished: Sequence[Finished], *, keep: bool) -> None:
        """As `finish`, for several intents in one transaction."""
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
        """Write the rows of all parts to the history, and delete the messages of `scope`.

        The scope {} means a reset, which empties the history; None deletes no messages. Jobs of
        `scope` with numbers up to `last_job` that have not ended are cancelled. `purge` also erases
        the texts of the memories of `scope`, including those deleted earlier, from the history, the
        answers and the jobs; their events stay.

        A transaction has up to a thousand rows; others may write between two transactions. The call
        may be interrupted and repeated. Returns what this call erased.
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
        """The ones of these memories that exist according to the history."""
        with self._database.reading() as connection:
            last = rows.last_events(connection, memory_ids)
        return {id_ for id_, event in last.items() if event != "DELETE"}

    def cancel(self, id_: str, *, dead: Collection[str] = ()) -> None:
        """Drop an intent whose write did not take place; it may be missing. `dead`: its new
        memories that may still arrive late, see tombstones.py."""

        def write(connection: Connection) -> None:
            tombstones.keep(connection, dead)
            mine = (INTENTS.c.id == id_) & ~INTENTS.c.done
            found = select(INTENTS.c.seq).where(mine).with_for_update()
            for number in connection.scalars(found).all():
                answers.drop(connection, number)
                drop(connection, numbered(number))
            deletions.end(connection, id_)

        # A transaction of unknown outcome may still be storing the intent.
        self._database.write(write, after_others=True)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drop intents that are done."""
        for start in range(0, len(numbers), 500):  # far below any database's bound on variables
            these = INTENTS.c.seq.in_(numbers[start : start + 500])
            self._database.write(partial(drop, which=these))

    def number(self, id_: str) -> int | None:
        """The number of an open intent; None where it was finished, or never begun."""
        query = select(INTENTS.c.seq).where(INTENTS.c.id == id_, ~INTENTS.c.done)
        # A write comes after all transactions that are still running.
        return self._database.write(lambda connection: connection.scalar(query), after_others=True)

    def ids(self, number: int, at_once: int) -> Iterator[list[str]]:
        """The ids of all parts, in lists of at most `at_once`; a part is never split."""
        return parts.ids(self._database, number, at_once)

    def of(self, process: str) -> list[StoredIntent]:
        """The intents of a process, in the order of their writes."""
        names = ("seq", "id", "done", "collecting", "version", "body")
        columns = [INTENTS.c[name] for name in names]
        query = select(*columns).where(INTENTS.c.process == process).order_by(INTENTS.c.seq)
        with self._database.reading() as connection:
            return [StoredIntent(*row) for row in connection.execute(query)]

    def processes(self) -> list[str]:
        """The processes with intents, with locks, or with running requests that have an idempotency
        key; and those of versions without a catalogue, because it matters when the last has
        ended."""
        asking = ANSWERS.c.answer.is_(None) & ~ANSWERS.c.erased
        query = select(INTENTS.c.process).union(
            select(ANSWERS.c.process).where(asking),
            select(LOCKS.c.process),
            select(PROCESSES.c.id).where(PROCESSES.c.schema_version.is_(None)),
        )
        with self._database.reading() as connection:
            return [*connection.scalars(query)]

    def done_again(self, ids: Collection[str]) -> None:
        """Note that new memories will be stored once more, see tombstones.py."""
        self._database.write(lambda connection: tombstones.keep(connection, ids))

    def release_locks(self, process: str) -> None:
        """Release the locks of a dead process; its intents' locks go with the intents."""
        self._database.write(lambda connection: held.release_all(connection, process))

    def writing_beside(self, process: str) -> list[str]:
        """The other processes, alive or dead, that have open intents."""
        query = select(INTENTS.c.process).distinct()
        with self._database.reading() as connection:
            return [*connection.scalars(query.where(INTENTS.c.process != process, ~INTENTS.c.done))]

    def done(self, process: str) -> list[int]:
        """The numbers of the process's intents that are done."""
        query = select(INTENTS.c.seq).where(INTENTS.c.process == process, INTENTS.c.done)
        with self._database.reading() as connection:
            return [*connection.scalars(query)]
