"""The SQLite backend: sets connections up, begins writes, and tidies the file."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError

from app.storage.history.group_commit import GroupCommit
from app.storage.history.transactions import Transactions

BUSY_TIMEOUT_S = 30.0
LOG_PAGES = 8000  # 32 MB; from then on a commit must empty the write-ahead log itself
LOG_IS_READ = (
    "A reader of history.db still needs its write-ahead log, which has the texts; it is emptied "
    "as soon as that reader lets go."
)


class SQLite:
    """A `Backend` on one file; safe for many threads and several processes."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """The first connection makes the file. Where it is locked, a call waits for up to
        `busy_timeout_s` seconds."""
        self.name = f"The history database {path}"
        self.engine = create_engine(
            URL.create("sqlite", database=str(path)),
            # A thread never waits for a connection, only for SQLite's own lock. All connections are
            # kept, because opening one costs as much as a write.
            pool_size=0,
            pool_use_lifo=True,
            connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
            hide_parameters=True,  # errors are logged, and parameters are texts of users
        )
        event.listen(self.engine, "connect", self._set_up)
        self._busy_timeout_s = busy_timeout_s
        self._log_has_texts = False

    def transactions(self) -> Transactions:
        return GroupCommit(self.engine, self.begin)

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that holds the write lock from its start.

        A transaction that first reads and then writes would fail at once with "database is locked"
        where another process wrote in between.
        """
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def glancing(self) -> Connection:
        return self.engine.connect()

    def close(self) -> None:
        self.engine.dispose()

    def reason(self, error: DBAPIError) -> str:
        return "The history database does not answer."

    def why_not_opened(self, error: DBAPIError) -> str:
        return str(error.orig)

    def is_away(self, error: DBAPIError) -> bool:
        """False: an operator has to mend whatever is wrong with a file."""
        return False

    def tidy(self, connection: Connection) -> None:
        """Copy the write-ahead log into the file, without waiting for readers."""
        if self._log_has_texts:
            self._empty_log(connection)
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def keeps_erased(self, connection: Connection) -> str | None:
        """Empty the write-ahead log, after which erased texts are in no file. While a reader needs
        the log that is not possible, and `tidy` does it later."""
        return None if self._empty_log(connection) else LOG_IS_READ

    def last_numbers(self, connection: Connection) -> dict[str, int]:
        """The highest number that a row of each table ever had, for tables that never reuse one."""
        found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
        return {row.name: row.seq for row in found}

    def _empty_log(self, connection: Connection) -> bool:
        """Empty the log without waiting. Returns whether that was possible."""
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        try:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        finally:
            wait_ms = round(self._busy_timeout_s * 1000)
            connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms}")
        self._log_has_texts = bool(busy)
        return not busy

    def _set_up(self, connection: Any, _record: Any) -> None:
        # None: the driver begins no transaction of its own, so that `begin` can.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")  # locks go with their intent
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        # SQLite's own timeout does not cover a change of the journal mode: it fails with "locked"
        # at once while another connection writes.
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
