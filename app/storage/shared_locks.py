"""Locks among the processes of a fleet."""

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, repeat

from sqlalchemy import Connection, func, select

from app.errors import HistoryUnavailable, ServiceBusy
from app.security.scopes import Scope
from app.storage.history import held
from app.storage.history.database import Database
from app.storage.locks import CHANGING, DELETING, LOCK_S, ThreadLocks, different
from app.storage.payloads import new_id

PAUSES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Between looks; the last one again and again."""
DECISION = 7_201_833_940_552_012
"""Of PostgreSQL's advisory locks: any number that no other program takes."""


class SharedLocks:
    """`Locks` among all threads of all processes that share a database.

    The threads of this process are told apart by ThreadLocks first, so a row has to keep only
    other processes out. Rows are written one transaction after the other, so each sees all that
    were written before. Who wants a scope alone writes its row at once, which keeps those who come
    later out, and then waits for those who came earlier.

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
        self._left: set[str] = set()  # what could not be let go

    @contextmanager
    def changing(
        self, scopes: Callable[[], Sequence[Scope]], ids: Collection[str]
    ) -> Iterator[None]:
        memories = dict.fromkeys(ids)
        with self._threads.changing(scopes, ids), self._holding() as hold:
            if not self._take(hold, memories, None):
                known = scopes()
                self._wait(lambda: self._take(hold, memories, known), CHANGING)
            yield

    @contextmanager
    def adding(self, new: Mapping[str, Scope]) -> Iterator[None]:
        scopes = different(new.values())
        with self._threads.adding(new), self._holding() as hold:
            self._wait(lambda: self._take(hold, new, scopes), DELETING)
            yield

    @contextmanager
    def deleting(self, scope: Scope) -> Iterator[None]:
        with self._threads.deleting(scope), self._holding() as hold:
            number = self._add(hold, scope)
            self._wait(lambda: self._is_first(number, scope), DELETING)
            yield

    def at_rest(self) -> AbstractContextManager[None]:
        return self._threads.at_rest()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        row = hashlib.sha256(key.encode()).hexdigest()  # an index may have no long texts
        with self._threads.alone(key), self._holding() as hold:
            # As this process is now it takes what it takes within, or not at all.
            self._within.process = self._this()
            try:
                self._wait(lambda: self._take_key(hold, row), CHANGING)
                yield
            finally:
                self._within.process = None

    def _process(self) -> str:
        return getattr(self._within, "process", None) or self._this()

    def release_left(self) -> None:
        """What could not be let go while the database was away."""
        for hold in [*self._left]:
            self._release(hold)
            self._left.discard(hold)

    @contextmanager
    def _holding(self) -> Iterator[str]:
        hold = new_id()
        try:
            yield hold
        finally:
            try:
                self._release(hold)
            except HistoryUnavailable:
                self._left.add(hold)

    def _release(self, hold: str) -> None:
        self._database.write(lambda connection: held.release(connection, hold))

    def _wait(self, is_free: Callable[[], bool], detail: str) -> None:
        until = time.monotonic() + self._seconds
        for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
            if is_free():
                return
            if time.monotonic() > until:
                raise ServiceBusy(detail)
            time.sleep(pause_s)

    def _take(
        self, hold: str, memories: Mapping[str, Scope | None], scopes: Sequence[Scope] | None
    ) -> bool:
        """Whether that could be: nobody else changes these, or deletes in `scopes` (None: in
        any)."""
        me = self._process()

        def decide(connection: Connection) -> bool:
            _one_at_a_time(connection)
            if held.is_held(connection, memories, me) or held.is_deleted(connection, scopes, me):
                return False
            held.add_memories(connection, me, hold, memories)
            return True

        return self._database.write(decide)

    def _take_key(self, hold: str, key: str) -> bool:
        me = self._process()

        def decide(connection: Connection) -> bool:
            _one_at_a_time(connection)
            if held.is_held(connection, [key], me):
                return False
            held.add_key(connection, me, hold, key)
            return True

        return self._database.write(decide)

    def _add(self, hold: str, scope: Scope) -> int:
        def write(connection: Connection) -> int:
            _one_at_a_time(connection)
            return held.add_scope(connection, self._process(), hold, scope)

        return self._database.write(write)

    def _is_first(self, number: int, scope: Scope) -> bool:
        with self._database.reading() as connection:
            return held.is_first(connection, number, scope, self._process())


def _one_at_a_time(connection: Connection) -> None:
    """On SQLite every transaction that writes is alone already."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(DECISION)))
