"""Locks among the processes that share a history: a fleet, or the workers of one host."""

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
"""How long a waiting thread pauses before it reads the rows again. (LISTEN would need a session for
each process, which PgBouncer does not give.)"""
DECISION = 7_201_833_940_552_012
"""The key of an advisory lock of PostgreSQL: any number that no other program uses."""


class SharedLocks:
    """`Locks` among all threads of all processes that share a database.

    ThreadLocks separate the threads of this process first, so rows only have to separate processes.
    Holds get their locks in turn, see history/held.py.

    There can be no deadlock. A hold adds all its rows at once, and no two holds add rows at the
    same time, so a hold waits only for earlier ones. A thread takes its key before anything else:
    while it waits for the key it holds nothing that the owner of the key could wait for.

    A process that was stopped and taken for dead has lost its locks without notice. `held.begin`
    finds that out before a write.
    """

    def __init__(
        self, database: Database, process: Callable[[], str], seconds: float = LOCK_S
    ) -> None:
        """`process` returns the id of this process. The id changes after the process was taken for
        dead."""
        self._database = database
        self._this = process
        self._within = threading.local()  # within `alone`: the id of this process at its beginning
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
            # All locks within belong to one id of this process: if it is taken for dead, all go.
            self._within.process = self._this()
            try:
                with self._holding(row):
                    yield
            finally:
                self._within.process = None

    def are_gone(self, memory_ids: Collection[str]) -> None:
        """Note that the rows of these memories were deleted together with an intent. A hold without
        other rows needs no release."""
        for keys in [*self._held.values()]:
            keys.difference_update(memory_ids)

    def release_left(self) -> None:
        """Release the holds that could not be released while the database was away."""
        for hold in [*self._left]:
            # A transaction of unknown outcome may still be adding the rows.
            self._release(hold, after_others=True)
            self._left.discard(hold)

    @contextmanager
    def _holding(
        self, rows: Sequence[Row], scope: Callable[[], Scope] | None = None
    ) -> Iterator[None]:
        """Hold the locks of `rows`. `scope` returns the scope of a memory whose row lacks it."""
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
        """Wait until no row conflicts. `kind` is the kind of a row that conflicts now."""
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
        """Add the rows. Returns the kind of a row that conflicts; None where there is none, so that
        one transaction is enough."""

        def write(connection: Connection) -> str | None:
            _one_at_a_time(connection, lasting=not hold.is_of_memories)
            held.add(connection, hold)
            return held.in_the_way(connection, hold)

        return self._database.write(write)

    def _narrow(self, hold: Hold, scope: Scope) -> None:
        """Store the scope of the memory, so that no deletion of another scope waits for it."""
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

    Unless the rows must be `lasting`, the commit does not wait for the disk, and a crash of the
    database may lose the rows. That is harmless: an intent begins only under rows that exist, and
    the intent's commit waits until all earlier commits are on the disk.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        alone = select(func.pg_advisory_xact_lock(DECISION))
        if not lasting:
            alone = alone.add_columns(func.set_config("synchronous_commit", "off", True))
        connection.execute(alone)
