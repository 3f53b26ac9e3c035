"""The SQLite file of history, messages, intents and answers: opened, read, written, tidied."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.group_commit import Transactions, TransactionTimeout
from app.storage.history.schema import SCHEMA_VERSION, VERSION, migrate

BUSY_TIMEOUT_S = 30
LOG_PAGES = 8000  # 32 MB: then a commit, which somebody waits for, must empty the log itself

T = TypeVar("T")


class Database:
    """One SQLite file; safe for many threads and several processes.

    Everything raises HistoryUnavailable for a database that is down, locked, read-only or full.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it; StartupError where that cannot be."""
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            # A thread never waits for another's connection, only for SQLite's own lock; all are
            # kept, since to open one costs as much as a write.
            pool_size=0,
            pool_use_lifo=True,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
            hide_parameters=True,  # they are users' texts, and errors are logged
        )
        event.listen(self._engine, "connect", _set_up_connection)
        self._transactions = Transactions(self._engine)
        self._log_has_texts = False
        try:
            self._create()
        except DBAPIError as error:
            self.close()
            detail = f"The history database {path} cannot be opened: {error.orig}"
            raise StartupError(detail) from error
        except StartupError:
            self.close()
            raise

    def close(self) -> None:
        self._transactions.close()
        self._engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, once it is committed, together with what others write."""
        with _translated():
            return self._transactions.run(work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(), self._engine.connect() as connection:
            yield connection

    def check(self) -> None:
        with self.reading() as connection:
            connection.execute(select(VERSION.c.version))

    def tidy(self) -> None:
        """Bring what is in the write-ahead log into the file, and wait for nobody."""
        if self._log_has_texts:
            self.empty_log()
        with self.reading() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def empty_log(self) -> bool:
        """Empty the write-ahead log, so that erased texts are in no file; at once or not at all.

        False while a reader needs it: `tidy` will do it. Nobody waits for that reader.
        """
        with self.reading() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
        self._log_has_texts = bool(busy)
        return not busy

    def _create(self) -> None:
        with self._transactions.alone() as connection:
            migrate(connection)
            version = connection.scalar(select(func.max(VERSION.c.version)))
            if version is None:
                connection.execute(insert(VERSION), {"version": SCHEMA_VERSION})
            elif version < SCHEMA_VERSION:
                connection.execute(update(VERSION).values(version=SCHEMA_VERSION))
            elif version > SCHEMA_VERSION:
                raise StartupError(
                    f"The history database has schema version {version}; this service knows "
                    f"{SCHEMA_VERSION}. It was written by a newer version: run that one."
                )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise HistoryUnavailable("The history database does not answer.") from error
    except TransactionTimeout as error:
        raise HistoryUnavailable("The history database is too slow to answer.") from error


def _set_up_connection(connection: Any, _record: Any) -> None:
    # None: the driver begins no transaction of its own, so that BEGIN IMMEDIATE can be said.
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    # SQLite's own timeout does not cover a change of the journal mode: while another connection
    # writes it answers "locked" at once.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
