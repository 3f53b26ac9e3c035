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
"""From one look to the next, of who waits: it costs a read of a few rows."""
DECISION = 7_201_833_940_552_012
"""Of PostgreSQL's advisory locks: any number that no other program takes."""


class SharedLocks:
    """`Locks` among all threads of all processes that share a database.

    The threads of this process are told apart by ThreadLocks first, so a row has to keep only
    other processes out. Whoever wants something has its turn after those who came before, see
    history/held.py: all rows of a hold are added at once, and those of one hold after those of
    the other, so who waits only ever waits for who came earlier, and two never wait for each
    other. Nor does it matter what is taken within `alone`: who waits for such a key holds nothing
    else yet, so nobody waits for it but those who want that key.

    Nothing here makes sure that a process still holds what it took: it may have been stopped and
    taken for dead. Its intent is what is checked, see `held.begin`.
    """

    def __init__(
        self, database: Database, process: Callable[[], str], seconds: float = LOCK_S
    ) -> None:
        """`process` gives the id of this one: another, once it was taken for dead."""
        self._database = database
        self._this = process
        self._within = threading.local()  # `alone`, as which process
        self._seconds = seconds
        self._threads = ThreadLocks(seconds)
        self._held: dict[str, set[str | None]] = {}  # by hold, the keys of the rows that it has
        self._left: set[str] = set()  # what could not be let go

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
        """The rows of these memories went with an intent that was begun under them: whoever holds
        nothing else has nothing to let go."""
        for keys in [*self._held.values()]:
            keys.difference_update(memory_ids)

    def release_left(self) -> None:
        """What could not be let go while the database was away."""
        for hold in [*self._left]:
            # Its rows may be added only now, by a transaction whose end nobody was told of.
            self._release(hold, after_others=True)
            self._left.discard(hold)

    @contextmanager
    def _holding(
        self, rows: Sequence[Row], scope: Callable[[], Scope] | None = None
    ) -> Iterator[None]:
        """`scope`: of the memory, where its row does not say it."""
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
        """`kind`: of what is in the way."""
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
        """The kind of what is in its way, so that it has at once what nobody else wants."""

        def write(connection: Connection) -> str | None:
            _one_at_a_time(connection, lasting=not hold.is_of_memories)
            held.add(connection, hold)
            return held.in_the_way(connection, hold)

        return self._database.write(write)

    def _narrow(self, hold: Hold, scope: Scope) -> None:
        """So that a deletion elsewhere and who changes this memory do not wait for each other."""
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
    """Keep others from adding rows meanwhile.

    Unless they are to be `lasting` nobody waits for the disk, and a crash of the database may lose
    those of its last moment. An intent begins only under rows that are there, and its own commit
    brings to the disk whatever was committed before it.
    """
    if connection.dialect.name == "postgresql":  # on SQLite who writes is alone already
        alone = select(func.pg_advisory_xact_lock(DECISION))
        if not lasting:
            alone = alone.add_columns(func.set_config("synchronous_commit", "off", True))
        connection.execute(alone)
