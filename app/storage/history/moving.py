"""Moves a history from an SQLite file into PostgreSQL, as a whole or not at all."""

from collections.abc import Callable

from sqlalchemy import Connection, Table, func, insert, select

from app.errors import StartupError
from app.storage.history.database import Database
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.schema import PROCESSES, TABLES, VERSION
from app.storage.history.sqlite import SQLite

AT_ONCE = 1000  # rows in one statement
MOVED = [table for table in TABLES.sorted_tables if table not in (PROCESSES, VERSION)]


def move(source: SQLite, target: PostgreSQL, tell: Callable[[str, int], None]) -> None:
    """Move the history. `tell` is called with each table and its number of rows.

    No process can write to the file meanwhile. It stays as it is, except that it is migrated to
    this version's schema. Raises HistoryUnavailable, and StartupError where `target` has rows
    already, a service runs on it, or the copy differs. After an error nothing was moved.
    """
    old, new = Database(source), None
    try:
        new = Database(target)
        with old.alone() as reading, new.alone() as writing:
            _check_empty(writing)
            for table in MOVED:
                tell(table.name, _copied(table, reading, writing))
            _number_on(source.last_numbers(reading), target, writing)
    finally:
        old.close()
        if new:
            new.close()


def _check_empty(connection: Connection) -> None:
    for table in (*MOVED, PROCESSES):
        if connection.execute(select(table).limit(1)).first():
            raise StartupError(
                f"The database of DATABASE_URL has rows in {table.name} already: it was moved to "
                "before, or a service used it. Name an empty one."
            )


def _copied(table: Table, reading: Connection, writing: Connection) -> int:
    key = [*table.primary_key]
    rows = reading.execution_options(yield_per=AT_ONCE).execute(select(table).order_by(*key))
    for some in rows.mappings().partitions(AT_ONCE):
        writing.execute(insert(table), [dict(row) for row in some])
    before, after = (_count(table, connection) for connection in (reading, writing))
    if before != after:
        raise StartupError(f"{after} rows of {table.name} arrived, and {before} were sent.")
    return after


def _count(table: Table, connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _number_on(last: dict[str, int], target: PostgreSQL, writing: Connection) -> None:
    """Let the numbers of new rows begin after those that were ever used in the file, even by rows
    that are deleted."""
    for table in MOVED:
        column = table.autoincrement_column
        if column is not None:
            highest = writing.scalar(select(func.max(column))) or 0
            highest = max(highest, last.get(table.name, 0))
            if highest:
                target.number_after(writing, column, highest)
