"""The history database of another process, copied as of one moment by SQLite itself."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

LOCK_S = 30.0  # to wait for SQLite's own lock


class Place(NamedTuple):
    """How far a history has come."""

    row: int
    id: str | None


class Restarted(Exception):
    """The history was emptied meanwhile, by a reset: what was changed cannot be told."""


class Snapshot:
    """What the database has now, whatever is written afterwards. Until it is closed, SQLite's log
    cannot be emptied."""

    def __init__(self, database: Path) -> None:
        self._connection = _connected(database)
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT version FROM schema_version").fetchone()

    def save(self, path: Path) -> None:
        """As a database of its own."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file
        path.chmod(0o600)

    def close(self) -> None:
        self._connection.close()


class Changes:
    """Which memories the history says were changed. Those of a store on a Qdrant server, since
    each change of a point is followed by its row."""

    def __init__(self, database: Path) -> None:
        self._database = database
        with closing(_connected(database)) as connection:
            self._place = _place(connection)

    def next(self) -> set[str]:
        """The ids of those that were changed since the last time. Raises Restarted."""
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
    """Within, no process begins a write, and none that is under way ends: it needs its rows in the
    history for that. What is under way is settled from its intent, wherever the copy is opened."""
    with closing(_connected(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.rollback()


def under_way(connection: sqlite3.Connection) -> int:
    """How many memories the writes are about that were begun and not ended."""
    bodies = connection.execute("SELECT body FROM intents WHERE NOT done")
    single = sum(len(json.loads(body).get("rows", ())) for (body,) in bodies)
    parts = connection.execute(
        "SELECT ids FROM intent_parts WHERE intent IN (SELECT seq FROM intents WHERE NOT done)"
    )
    return single + sum(len(json.loads(ids)) for (ids,) in parts)


def _place(connection: sqlite3.Connection) -> Place:
    found = connection.execute("SELECT seq, id FROM history ORDER BY seq DESC LIMIT 1").fetchone()
    return Place(*found) if found else Place(0, None)


def _connected(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_S, isolation_level=None
    )
    return connection
