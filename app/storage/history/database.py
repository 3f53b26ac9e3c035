"""The database of history, messages, intents and answers: opened, read, written, tidied."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.group_commit import Transactions, TransactionTimeout
from app.storage.history.schema import SCHEMA_VERSION, VERSION, create, stored_version

T = TypeVar("T")


class Backend(Protocol):
    """What differs from one database to another; all else is SQLAlchemy's."""

    @property
    def name(self) -> str:
        """For people, such as "The history database /data/history.db"."""

    @property
    def engine(self) -> Engine: ...

    def begin(self, connection: Connection) -> None:
        """Begin a transaction for writing, alone among the processes that write."""

    def tidy(self, connection: Connection) -> None:
        """Called every few seconds; waits for nobody."""

    def empty_log(self, connection: Connection) -> bool:
        """Let no file hold what was erased; whether that is so now. Waits for nobody."""


class Database:
    """Safe for many threads and several processes.

    Everything raises HistoryUnavailable for a database that is down, locked, read-only or full.
    """

    def __init__(self, backend: Backend) -> None:
        """Open it, make its tables, or bring those of an earlier version to this one.

        StartupError where that cannot be, or a newer version of the service wrote it; then it is
        as it was.
        """
        self._backend = backend
        self._transactions = Transactions(backend.engine, backend.begin)
        try:
            self._prepare()
        except DBAPIError as error:
            self.close()
            raise StartupError(f"{backend.name} cannot be opened: {error.orig}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._transactions.close()
        self._backend.engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, once it is committed, together with what others write."""
        with _translated():
            return self._transactions.run(work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(), self._backend.engine.connect() as connection:
            yield connection

    def check(self) -> None:
        with self.reading() as connection:
            connection.execute(select(VERSION.c.version))

    def tidy(self) -> None:
        """Keep the files fit, see Backend."""
        with self.reading() as connection:
            self._backend.tidy(connection)

    def empty_log(self) -> bool:
        """Let no file hold what was erased. False where that has to wait: `tidy` will do it."""
        with self.reading() as connection:
            return self._backend.empty_log(connection)

    def _prepare(self) -> None:
        # One transaction: of several processes one does it, and a failure leaves nothing of it.
        with self._transactions.alone() as connection:
            version = stored_version(connection)
            if version is None:
                create(connection)
            elif version > SCHEMA_VERSION:
                raise StartupError(
                    f"The history database has schema version {version}; this service knows "
                    f"{SCHEMA_VERSION}. It was written by a newer version: run that one."
                )
            elif version < SCHEMA_VERSION:
                # Only now: Alembic takes 0.1 s to import.
                from app.storage.history.migrations import migrate

                migrate(connection, version)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise HistoryUnavailable("The history database does not answer.") from error
    except TransactionTimeout as error:
        raise HistoryUnavailable("The history database is too slow to answer.") from error
