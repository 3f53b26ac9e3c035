"""Group commit: writes of several threads at the same time share one transaction.

The commit is most of the cost of a write, and other writers must wait for it. So one thread writes
for all that have come meanwhile, each in a savepoint: a failure undoes only its own savepoint, and
only its caller gets it. Callers return after the commit. See "Group commit" in Gray and Reuter,
Transaction Processing, 1993, 9.4.7.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

TOGETHER = 64  # writes in one transaction, so that no caller waits for very many others
WAIT_S = 40.0  # longer than a database waits for its own lock


class TransactionTimeout(Exception):
    """The transactions before took too long. Whether this one takes place may be unknown."""


class _Write:
    """The write of one thread, and its outcome."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.leads = False
        """Whether its thread has to write for all that wait."""
        self.is_done = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self.told = threading.Event()
        """Set when it is done, or leads."""


class GroupCommit:
    """Writes to one database by group commit. Safe for many threads."""

    def __init__(
        self, engine: Engine, begin: Callable[[Connection], None], seconds: float = WAIT_S
    ) -> None:
        """`begin` begins a transaction for writing. A caller that waits for others for longer than
        `seconds` gets TransactionTimeout."""
        self._engine = engine
        self._begin = begin
        self._seconds = seconds
        self._connection: Connection | None = None  # used by the leading thread
        self._changing = threading.Lock()
        self._waiting: list[_Write] = []
        self._writing = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, after it was committed. `work` may run in another thread. Raises
        its exceptions; failures of the database are raised to all that share the transaction."""
        mine = _Write(work)
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

    def _withdraw(self, job: _Write) -> None:
        """Give up waiting, unless the write was done or appointed to lead at the last moment."""
        with self._changing:
            if job.leads or job.is_done:
                return
            if job in self._waiting:
                self._waiting.remove(job)
        raise TransactionTimeout

    def _write_all(self) -> None:
        """Write all that wait, including the caller, and appoint the next leader."""
        with self._changing:
            jobs, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        outcomes = self._written(jobs)
        with self._changing:
            for job, outcome in zip(jobs, outcomes, strict=True):
                job.result, job.failure = outcome
                job.is_done = True
                job.told.set()
            # Under the same lock, so that the new leader cannot give up waiting meanwhile.
            self._writing = bool(self._waiting)
            for job in self._waiting[:1]:
                job.leads = True
                job.told.set()

    def _written(self, jobs: list[_Write]) -> list[tuple[Any, BaseException | None]]:
        """Write `jobs` in one transaction. Returns the result or the failure of each."""
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
        """Drop the connection, which after a failure of the disk may be within a transaction."""
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
            with suppress(DBAPIError):  # the first failure is raised
                connection.rollback()
            raise

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction on a connection of its own, which is not shared."""
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
