"""Opens, reads, writes and tidies the history database."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.group_commit import TransactionTimeout
from app.storage.history.schema import SCHEMA_VERSION, VERSION, create, stored_version
from app.storage.history.transactions import Transactions

T = TypeVar("T")

log = logging.getLogger(__name__)

Fence = Callable[[Connection, bool], None]


class Backend(Protocol):
    """The differences between databases; SQLAlchemy covers all others."""

    @property
    def name(self) -> str:
        """The name for messages, such as "The history database /data/history.db"."""

    @property
    def engine(self) -> Engine:
        """The engine for reading; each statement is a transaction of its own."""

    def glancing(self) -> Connection:
        """A connection for reading with a short time limit, see Database.glance."""

    def close(self) -> None:
        """Close all connections."""

    def transactions(self) -> Transactions:
        """How writes become transactions."""

    def reason(self, error: DBAPIError) -> str:
        """The reason of a failure for callers, without the values that `error` quotes."""

    def why_not_opened(self, error: DBAPIError) -> str:
        """The reason why the start failed for operators, with the database's own words."""

    def is_away(self, error: DBAPIError) -> bool:
        """Whether the database cannot be reached now, but perhaps later."""

    def tidy(self, connection: Connection) -> None:
        """Tidy the files. Called every few seconds; must not wait."""

    def keeps_erased(self, connection: Connection) -> str | None:
        """Remove erased data from all files. Where that is not possible now, or not possible for
        this service, returns where the data is and until when. Must not wait."""


class Database:
    """The history database. Safe for many threads and several processes.

    All methods raise HistoryUnavailable where the database is down, locked, read-only or full.
    """

    def __init__(self, backend: Backend) -> None:
        """Open the database, and make its tables or migrate those of an earlier version.

        Raises StartupError where that fails, or a newer version of the service wrote the database,
        which is then unchanged. A database that cannot be reached now is opened later.
        """
        self._backend = backend
        self._transactions = backend.transactions()
        self._fence: Fence | None = None
        self._is_open = False
        self._opening = threading.Lock()
        try:
            self._open()
        except DBAPIError as error:
            if backend.is_away(error):
                log.warning("not ready yet: %s", backend.reason(error))
                return
            self.close()
            why = backend.why_not_opened(error)
            raise StartupError(f"{backend.name} cannot be opened: {why}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._transactions.close()
        self._backend.close()

    def fence_writes(self, fence: Fence) -> None:
        """Call `fence` at the beginning of each writing transaction from now on. It must raise an
        error where this process may not write any more. Its second argument is `after_others`."""
        self._fence = fence

    def write(self, work: Callable[[Connection], T], *, after_others: bool = False) -> T:
        """The result of `work`, after it was committed. `work` may be called again after a
        rollback.

        `after_others`: the transaction begins when all running transactions of this process have
        ended, even those whose outcome is unknown because their connection was lost.
        """

        def fenced(connection: Connection) -> T:
            if self._fence:
                self._fence(connection, after_others)
            return work(connection)

        with self.translated():
            return self._transactions.run(fenced)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction that excludes others: meanwhile no process can open the database, or, where
        it is a file, write to it."""
        try:
            with self._transactions.alone() as connection:
                yield connection
        except DBAPIError as error:
            raise HistoryUnavailable(self._backend.reason(error)) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.translated(), self._backend.engine.connect() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """A connection for reads that callers can do without. It fails within a few seconds where
        the database does not answer."""
        if not self._is_open:
            raise HistoryUnavailable("The history database was not reached yet.")
        with self.translated(), self._backend.glancing() as connection:
            yield connection

    def check(self) -> None:
        with self.reading() as connection:
            connection.execute(select(VERSION.c.version))

    def tidy(self) -> None:
        """Tidy the files, see Backend."""
        with self.reading() as connection:
            self._backend.tidy(connection)

    def keeps_erased(self) -> str | None:
        """Remove erased data from all files, see Backend. What is not possible now, `tidy` does
        later."""
        with self.reading() as connection:
            return self._backend.keeps_erased(connection)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within, the database is open, and its failures are HistoryUnavailable."""
        try:
            self._open_if_it_was_away()
            yield
        except DBAPIError as error:
            raise HistoryUnavailable(self._backend.reason(error)) from error
        except (TransactionTimeout, NoConnectionFree) as error:
            raise HistoryUnavailable("The history database is too slow to answer.") from error
        except StartupError as error:  # the database was replaced by an unusable one
            raise HistoryUnavailable(str(error)) from error

    def _open_if_it_was_away(self) -> None:
        if self._is_open:
            return
        if not self._opening.acquire(blocking=False):
            raise HistoryUnavailable("The history database is being opened; ask again.")
        try:
            self._open()
        finally:
            self._opening.release()

    def _open(self) -> None:
        # One exclusive transaction: only one process makes or migrates tables, and a failure leaves
        # nothing.
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
                # Imported here because Alembic takes 0.1 s, and is seldom needed.
                from app.storage.history.migrations import migrate

                migrate(connection, version)
        self._is_open = True
