"""Locks among the processes of a fleet."""

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, func, select

from app.errors import HistoryUnavailable, ServiceBusy
from app.security.scopes import Scope
from app.storage.history import held
from app.storage.history.database import Database
from app.storage.history.held import Hold, Row
from app.storage.locks import CHANGING, DELETING, LOCK_S, ThreadLocks
from app.storage.payloads import new_id

LOOK_S = 0.01
"""Between two looks of a waiting thread, each of which reads a few rows. LISTEN would need a
session of its own for each process, which PgBouncer does not give."""
DECISION = 7_201_833_940_552_012
"""Of PostgreSQL's advisory locks: any number that no other program takes."""


class SharedLocks:
    """`Locks` among all threads of all processes that share a database.

    ThreadLocks keep the threads of this process apart first, so a row only has to keep other
    processes out. Each hold has its turn after those that came before, see history/held.py.

    No circle of waits can form. A hold adds all its rows at once, and no two holds add rows at the
    same time, so each waits only for holds that came before it. A key is taken before anything
    else: a thread that waits for one holds nothing that a thread could wait for that has its key
    already.

    A process that was stopped and taken for dead holds nothing any more, and does not know it.
    `held.begin` finds that out before it writes.
    """

    def __init__(
        self, database: Database, process: Callable[[], str], seconds: float = LOCK_S
    ) -> None:
        """`process` returns the id of this process, which changes when it was taken for dead."""
        self._database = database
        self._this = process
        self._within = threading.local()  # `alone`, as which process
        self._seconds = seconds
        self._threads = ThreadLocks(seconds)
        self._held: dict[str, set[str | None]] = {}  # by hold, the keys of its rows
        self._left: set[str] = set()  # holds that could not be released

    @contextmanager
    def changing(self, memory_id: str, scope: Callable[[], Scope]) -> Iterator[None]:
        rows = held.of_memories({memory_id: None})
        with self._threads.changing(memory_id, scope), self._holding(rows, scope):
            yield

    @contextmanager
    def writing(self, memories: Mapping[str, Scope]) -> Iterator[None]:
        with self._threads.writing(memories), self._holding(held.of_memories(memories)):
            yield

    @contextmanager
    def deleting(self, scope: Scope) -> Iterator[None]:
        with self._threads.deleting(scope), self._holding(held.of_scope(scope)):
            yield

    def at_rest(self) -> AbstractContextManager[None]:
        return self._threads.at_rest()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        row = held.of_key(hashlib.sha256(key.encode()).hexdigest())  # an index has no long texts
        with self._threads.alone(key):
            # As this process is now it takes what it takes within, or not at all.
            self._within.process = self._this()
            try:
                with self._holding(row):
                    yield
            finally:
                self._within.process = None

    def are_gone(self, memory_ids: Collection[str]) -> None:
        """Note that the rows of these memories were deleted with the intent that was begun under
        them. A hold that has no other rows needs no release."""
        for keys in [*self._held.values()]:
            keys.difference_update(memory_ids)

    def release_left(self) -> None:
        """Release the holds that could not be released while the database was away."""
        for hold in [*self._left]:
            # A transaction whose outcome is not known may add the rows only now.
            self._release(hold, after_others=True)
            self._left.discard(hold)

    @contextmanager
    def _holding(
        self, rows: Sequence[Row], scope: Callable[[], Scope] | None = None
    ) -> Iterator[None]:
        """`scope` returns the scope of a memory whose row does not have it."""
        hold = Hold(new_id(), getattr(self._within, "process", None) or self._this(), rows)
        try:
            kind = self._add(hold)
        except HistoryUnavailable:
            self._left.add(hold.id)
            raise
        self._held[hold.id] = {row["key"] for row in rows}
        try:
            self._wait(hold, kind, scope)
            yield
        finally:
            if self._held.pop(hold.id):
                self._release_or_leave(hold.id)

    def _wait(self, hold: Hold, kind: str | None, scope: Callable[[], Scope] | None) -> None:
        """Wait until nothing is in the way. `kind` is that of what is in the way now."""
        until = time.monotonic() + self._seconds
        while kind:
            if kind == held.SCOPE and scope:
                self._narrow(hold, scope())
                scope = None
            elif time.monotonic() > until:
                raise ServiceBusy(DELETING if kind == held.SCOPE else CHANGING)
            else:
                time.sleep(LOOK_S)
            with self._database.reading() as connection:
                kind = held.in_the_way(connection, hold)

    def _add(self, hold: Hold) -> str | None:
        """Add the rows. Returns the kind of what is in the way: None, where nobody else wants the
        same, so that one transaction is enough then."""

        def write(connection: Connection) -> str | None:
            _one_at_a_time(connection, lasting=not hold.is_of_memories)
            held.add(connection, hold)
            return held.in_the_way(connection, hold)

        return self._database.write(write)

    def _narrow(self, hold: Hold, scope: Scope) -> None:
        """Tell the scope of the memory, so that no deletion of another scope waits for it."""
        self._database.write(lambda connection: held.narrow(connection, hold, scope))

    def _release_or_leave(self, hold: str) -> None:
        try:
            self._release(hold)
        except HistoryUnavailable:
            self._left.add(hold)

    def _release(self, hold: str, *, after_others: bool = False) -> None:
        def write(connection: Connection) -> None:
            held.release(connection, hold)

        self._database.write(write, after_others=after_others)


def _one_at_a_time(connection: Connection, *, lasting: bool) -> None:
    """Keep other transactions from adding rows until this one ends.

    Unless the rows are to be `lasting`, its commit does not wait for the disk, and a crash of the
    database may lose them. That harms nothing: an intent begins only under rows that are there,
    and its own commit waits until everything that was committed before is on the disk.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        alone = select(func.pg_advisory_xact_lock(DECISION))
        if not lasting:
            alone = alone.add_columns(func.set_config("synchronous_commit", "off", True))
        connection.execute(alone)
