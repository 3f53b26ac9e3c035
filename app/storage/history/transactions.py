"""How writes become transactions: here, each one its own. Group commit is beside it."""

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
        """What `work` gives, once it is committed. Raises what it raises, and the database's own
        failures; it may be called again where all that it did was undone."""

    def alone(self) -> AbstractContextManager[Connection]:
        """A transaction beside which no other of this kind is at work, in any process."""

    def close(self) -> None: ...


class OwnTransactions:
    """Each write has a transaction of its own, on a connection of the pool.

    For a database that lets many write at the same time, and shares their commits itself.
    """

    def __init__(
        self,
        engine: Engine,
        lock: Callable[[Connection], None],
        *,
        begin: Callable[[Connection], None],
        was_undone: Callable[[DBAPIError], bool],
    ) -> None:
        """`lock` makes a transaction the only one of its kind. `begin` is called in each other one
        first. `was_undone`: whether a failure means that nothing took place, and that the same may
        well succeed now."""
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
            connection.detach()  # it has limits of time of its own: nobody else gets it afterwards
            with connection.begin():
                self._lock(connection)
                yield connection

    def close(self) -> None:
        self._engine.dispose()
