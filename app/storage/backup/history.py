"""Copies the history database of a running service, as of one moment, by SQLite itself."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

LOCK_S = 30.0  # how long to wait for SQLite's own lock


class Place(NamedTuple):
    """The last row of a history."""

    row: int
    id: str | None


class Restarted(Exception):
    """A reset emptied the history meanwhile, so that the changes are unknown."""


class Snapshot:
    """The database as it is now, whatever is written afterwards. Until it is closed, SQLite cannot
    empty its log."""

    def __init__(self, database: Path) -> None:
        self._connection = _connected(database)
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT version FROM schema_version").fetchone()

    def save(self, path: Path) -> None:
        """Write the snapshot to a database file."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file
        path.chmod(0o600)

    def close(self) -> None:
        self._connection.close()


class Changes:
    """Finds the memories that changed, by the rows of the history: each change of a point is
    followed by its row."""

    def __init__(self, database: Path) -> None:
        self._database = database
        with closing(_connected(database)) as connection:
            self._place = _place(connection)

    def next(self) -> set[str]:
        """The ids of the memories that changed since the last call. Raises Restarted."""
        with closing(_connected(self._database)) as connection:
            return self.next_in(connection)

    def next_in(self, connection: sqlite3.Connection) -> set[str]:
        here = (self._place.row,)
        found = connection.execute("SELECT id FROM history WHERE seq = ?", here).fetchone()
        if self._place.id and found != (self._place.id,):
            raise Restarted
        rows = connection.execute("SELECT DISTINCT memory_id FROM history WHERE seq > ?", here)
        ids = {row[0] for row in rows}
        self._place = _place(connection)
        return ids


@contextmanager
def nothing_ends(database: Path) -> Iterator[sqlite3.Connection]:
    """Held while no process can begin or finish a write, because both need a transaction of the
    history. Running writes are recovered from their intents where the copy is opened."""
    with closing(_connected(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.rollback()


def written_now(connection: sqlite3.Connection) -> set[str]:
    """The memories that the running writes concern, but for deletions by scope: those are carried
    out again where the copy is opened, whatever there is of them."""
    bodies = connection.execute("SELECT body FROM intents WHERE NOT done")
    rows = (row for (body,) in bodies for row in json.loads(body).get("rows", ()))
    return {row["memory_id"] for row in rows}


def deleted_now(connection: sqlite3.Connection) -> int:
    """How many memories the running deletions by scope concern."""
    parts = connection.execute(
        "SELECT ids FROM intent_parts WHERE intent IN (SELECT seq FROM intents WHERE NOT done)"
    )
    return sum(len(json.loads(ids)) for (ids,) in parts)


def _place(connection: sqlite3.Connection) -> Place:
    found = connection.execute("SELECT seq, id FROM history ORDER BY seq DESC LIMIT 1").fetchone()
    return Place(*found) if found else Place(0, None)


def _connected(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_S, isolation_level=None
    )
    return connection
