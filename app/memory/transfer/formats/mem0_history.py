"""The history that mem0's open-source library keeps beside its vector store.

It is an SQLite file, by default `~/.mem0/history.db`, with a table `history`: id, memory_id,
old_memory, new_memory, event, created_at, updated_at, is_deleted, actor_id, role. Older releases
lack some of the columns. Source: mem0ai 2.2.1, mem0/memory/storage.py. The histories of deleted
memories are not imported, because the file does not say whose they were.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.memory.transfer.formats.mem0_payloads import HistoryOf
from app.memory.transfer.formats.values import time_or_none
from app.memory.transfer.records import ImportedEvent, NotThisFormat

EVENTS = ("ADD", "UPDATE", "DELETE")


@contextmanager
def opened(path: Path | None) -> Iterator[HistoryOf]:
    """The histories in the file `path`, which is opened read-only. With None all are empty.

    Raises NotThisFormat.
    """
    if path is None:
        yield lambda memory_id: ()
        return
    connection = read_only(path)
    try:
        with _as_not_this_format():
            # mem0's table has no index by memory, so a temporary copy with one is made.
            connection.execute("CREATE TEMP TABLE known AS SELECT rowid AS place, * FROM history")
            connection.execute("CREATE INDEX temp.known_memory ON known (memory_id, place)")
        yield lambda memory_id: _events(connection, memory_id)
    finally:
        connection.close()


def read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection to the file. Raises NotThisFormat."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        raise NotThisFormat(f"There is no {path.name} that can be opened there.") from None
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def _as_not_this_format() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error:
        raise NotThisFormat("The history is no database of mem0, or is damaged.") from None


def _events(connection: sqlite3.Connection, memory_id: str) -> Sequence[ImportedEvent]:
    with _as_not_this_format():
        rows = connection.execute(
            "SELECT * FROM known WHERE memory_id IN (?, ?, ?) ORDER BY place",
            _spellings(memory_id),
        ).fetchall()
    return [_event(dict(row)) for row in rows if row["event"] in EVENTS]


def _spellings(memory_id: str) -> tuple[str, str, str]:
    """The ways to write a UUID: mem0 stores a history under the one that its caller used."""
    try:
        known = uuid.UUID(memory_id)
    except ValueError:
        return memory_id, memory_id, memory_id
    return str(known), str(known).upper(), known.hex


def _event(row: Mapping[str, Any]) -> ImportedEvent:
    def text(column: str) -> str | None:
        value = row.get(column)
        return value if isinstance(value, str) else None

    return ImportedEvent(
        event=str(row["event"]),
        old_memory=text("old_memory"),
        new_memory=text("new_memory"),
        created_at=time_or_none(row.get("created_at")),
        updated_at=time_or_none(row.get("updated_at")),
        actor_id=text("actor_id"),
        role=text("role"),
    )
