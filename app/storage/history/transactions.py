"""How writes become transactions: the interface, and a transaction for each write. For the other
implementation see group_commit.py."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

TRIES = 3


class Transactions(Protocol):
    """Writes to one database. Safe for many threads."""

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, after it was committed. `work` may be called again after a
        rollback. Raises its exceptions, and the database's failures."""

    def alone(self) -> AbstractContextManager[Connection]:
        """A transaction that excludes all others of this kind, in any process."""

    def close(self) -> None: ...


class OwnTransactions:
    """Runs each write in a transaction of its own, on a connection of the pool.

    It is for a database that lets many write at the same time, and groups their commits itself.
    """

    def __init__(
        self,
        engine: Engine,
        lock: Callable[[Connection], None],
        *,
        begin: Callable[[Connection], None],
        was_undone: Callable[[DBAPIError], bool],
    ) -> None:
        """`lock` makes a transaction exclusive, for `alone`. `begin` is called first in each other
        transaction. `was_undone` returns whether a failure means that the transaction was rolled
        back and may succeed now."""
        self._engine = engine
        self._lock = lock
        self._begin = begin
        self._was_undone = was_undone

    def run(self, work: Callable[[Connection], T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return self._once(work)
            except DBAPIError as error:
                if not self._was_undone(error):
                    raise
        return self._once(work)

    def _once(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            self._begin(connection)
            return work(connection)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.detach()  # its time limits differ, so that it must not return to the pool
            with connection.begin():
                self._lock(connection)
                yield connection

    def close(self) -> None:
        self._engine.dispose()
