"""The database of history, messages, intents and answers: opened, read, written, tidied."""

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
    """What differs from one database to another; all else is SQLAlchemy's."""

    @property
    def name(self) -> str:
        """For people, such as "The history database /data/history.db"."""

    @property
    def engine(self) -> Engine:
        """Its connections read: each statement for itself, without a transaction around it."""

    @property
    def glances(self) -> Engine:
        """The same, for who would rather not know than wait."""

    def transactions(self) -> Transactions:
        """How it is written to."""

    def reason(self, error: DBAPIError) -> str:
        """Why it failed, in words for callers, without what `error` quotes."""

    def why_not_opened(self, error: DBAPIError) -> str:
        """In words for who starts it, with what the database said."""

    def is_away(self, error: DBAPIError) -> bool:
        """Whether it cannot be reached now, and may be later."""

    def tidy(self, connection: Connection) -> None:
        """Called every few seconds; waits for nobody."""

    def keeps_erased(self, connection: Connection) -> str | None:
        """Let no file hold what was erased; where that cannot be now, or is not in its hands, what
        holds it and until when. Waits for nobody."""


class Database:
    """Safe for many threads and several processes.

    Everything raises HistoryUnavailable for a database that is down, locked, read-only or full.
    """

    def __init__(self, backend: Backend) -> None:
        """Open it, make its tables, or bring those of an earlier version to this one.

        StartupError where that cannot be, or a newer version of the service wrote it; then it is
        as it was. One that is away now is opened when it is there.
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
        self._backend.engine.dispose()
        self._backend.glances.dispose()

    def fence_writes(self, fence: Fence) -> None:
        """From now on `fence` is called at the beginning of every transaction that writes. It
        raises where this process may write no more; its second argument is `after_others`."""
        self._fence = fence

    def write(self, work: Callable[[Connection], T], *, after_others: bool = False) -> T:
        """What `work` gives, once it is committed. It may be called again where all that it did was
        undone.

        `after_others`: it begins when all writes of this process that are under way have ended,
        also those of which nobody knows any more whether they will be committed.
        """

        def fenced(connection: Connection) -> T:
            if self._fence:
                self._fence(connection, after_others)
            return work(connection)

        with self.translated():
            return self._transactions.run(fenced)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction beside which nobody opens the database, or writes to one in a file."""
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
        """To read what others can do without: it fails within a few seconds where the database
        does not answer, whatever is at work there."""
        if not self._is_open:
            raise HistoryUnavailable("The history database was not reached yet.")
        with self.translated(), self._backend.glances.connect() as connection:
            yield connection

    def check(self) -> None:
        with self.reading() as connection:
            connection.execute(select(VERSION.c.version))

    def tidy(self) -> None:
        """Keep the files fit, see Backend."""
        with self.reading() as connection:
            self._backend.tidy(connection)

    def keeps_erased(self) -> str | None:
        """See Backend. What could not be done now `tidy` does."""
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
        except StartupError as error:  # it was replaced by one that this cannot stand on
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
        self._is_open = True
