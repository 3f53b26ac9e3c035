"""Group commit: what several threads write at the same time shares one transaction.

A commit is what a write costs most of, and while one is under way the others can only wait. So
one thread writes for all who came meanwhile, each in a savepoint of its own: what fails there
is undone and told to its caller alone. Nobody is told of success before the commit. After
"Group commit" in Gray and Reuter, Transaction Processing, 1993, 9.4.7.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

TOGETHER = 64  # in one transaction: nobody waits for very many others
WAIT_S = 40.0  # longer than a database waits for its own lock


class TransactionTimeout(Exception):
    """The transactions before took too long. Whether this one takes place may not be known."""


class _Job:
    """What one thread wants written, and what becomes of it."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.leads = False
        """Its thread shall write for those who wait."""
        self.is_done = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self.told = threading.Event()
        """Set when it is done, or leads."""


class GroupCommit:
    """Writes to one database. Safe for many threads."""

    def __init__(
        self, engine: Engine, begin: Callable[[Connection], None], seconds: float = WAIT_S
    ) -> None:
        """`begin` begins a transaction for writing. Who waits for others longer than `seconds`
        is told so, by TransactionTimeout."""
        self._engine = engine
        self._begin = begin
        self._seconds = seconds
        self._connection: Connection | None = None  # of whoever is writing for all
        self._changing = threading.Lock()
        self._waiting: list[_Job] = []
        self._writing = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, once it is committed. It may run in another thread, and raises
        what it raises there; the database's own failures are those of all who share it."""
        mine = _Job(work)
        with self._changing:
            self._waiting.append(mine)
            mine.leads, self._writing = not self._writing, True
        if not mine.leads and not mine.told.wait(self._seconds):
            self._withdraw(mine)
        if not mine.is_done:
            self._write_all()
        if mine.failure:
            raise mine.failure
        return mine.result  # type: ignore[no-any-return]  # what `work` gave

    def _withdraw(self, job: _Job) -> None:
        """Give up waiting, unless it was told something at the last moment."""
        with self._changing:
            if job.leads or job.is_done:
                return
            if job in self._waiting:
                self._waiting.remove(job)
        raise TransactionTimeout

    def _write_all(self) -> None:
        """Write what waits, the caller's own included, and let one of the next go on."""
        with self._changing:
            jobs, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        outcomes = self._written(jobs)
        with self._changing:
            for job, outcome in zip(jobs, outcomes, strict=True):
                job.result, job.failure = outcome
                job.is_done = True
                job.told.set()
            # In the same step: who is appointed here cannot give up waiting any more.
            self._writing = bool(self._waiting)
            for job in self._waiting[:1]:
                job.leads = True
                job.told.set()

    def _written(self, jobs: list[_Job]) -> list[tuple[Any, BaseException | None]]:
        """The result or the failure of each."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._transaction(self._connection) as connection:
                if len(jobs) == 1:
                    return [(jobs[0].work(connection), None)]
                return [_in_savepoint(connection, job.work) for job in jobs]
        except BaseException as failure:
            if isinstance(failure, DBAPIError):
                self._drop_connection()
            return [(None, failure) for _ in jobs]

    def _drop_connection(self) -> None:
        """After a failure of the disk it may be left inside a transaction."""
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.invalidate()
            with suppress(DBAPIError):
                self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[Connection]:
        try:
            self._begin(connection)
            yield connection
            connection.commit()
        except BaseException:
            with suppress(DBAPIError):  # what failed is what counts
                connection.rollback()
            raise

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction on a connection of its own, shared with nobody."""
        with self._engine.connect() as connection, self._transaction(connection):
            yield connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _in_savepoint(
    connection: Connection, work: Callable[[Connection], Any]
) -> tuple[Any, BaseException | None]:
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
    except BaseException as failure:
        savepoint.rollback()
        return None, failure
    savepoint.commit()
    return result, None
