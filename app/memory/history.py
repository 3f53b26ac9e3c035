"""What happened to each memory, and the last messages of each conversation, in SQL.

Takes the place of mem0's SQLiteManager and keeps its method names, which mem0 calls. Beyond
mem0's columns every row carries the memory's own user_id, agent_id and run_id: once a memory
is deleted, nothing else knows whose it was.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote

from sqlalchemy import (
    URL,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError

from app.errors import HistoryUnavailable, StartupError
from app.memory.payloads import SCOPE_KEYS, Scope, new_id, now

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30
MESSAGES_KEPT = 10  # of each conversation, as mem0 keeps them

TABLES = MetaData()


def _scope_columns() -> list[Column[Any]]:
    return [Column(key, String, index=True) for key in SCOPE_KEYS]


HISTORY = Table(
    "history",
    TABLES,
    Column("seq", Integer, primary_key=True),  # the order in which things happened
    Column("id", String(36), nullable=False),
    Column("memory_id", String(36), nullable=False),
    Column("old_memory", Text),
    Column("new_memory", Text),
    Column("event", String(8), nullable=False),
    Column("created_at", String(40)),
    Column("updated_at", String(40)),
    Column("is_deleted", Boolean, nullable=False, default=False),
    Column("actor_id", String),
    Column("role", String),
    *_scope_columns(),
    Index("ix_history_memory_id", "memory_id"),
)
MESSAGES = Table(
    "messages",
    TABLES,
    Column("seq", Integer, primary_key=True),
    Column("id", String(36), nullable=False),
    Column("session_scope", String, nullable=False),
    Column("role", String),
    Column("content", Text),
    Column("name", String),
    Column("created_at", String(40), nullable=False),
    *_scope_columns(),
    Index("ix_messages_session_scope_created_at", "session_scope", "created_at"),
)
VERSION = Table("schema_version", TABLES, Column("version", Integer, nullable=False))

# What callers see of a row: mem0's columns. The scope and the sequence stay inside.
_SHOWN = [column for column in HISTORY.c if column.name not in ("seq", *SCOPE_KEYS)]


P = ParamSpec("P")
R = TypeVar("R")


def _translated(
    method: Callable[Concatenate["History", P], R],
) -> Callable[Concatenate["History", P], R]:
    """Tell a database that is down, locked, read-only or full as HistoryUnavailable."""

    @wraps(method)
    def call(self: "History", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except DBAPIError as error:
            raise HistoryUnavailable("The history database does not answer.") from error

    return call


class History:
    """One SQLite file; safe for many threads and several processes."""

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it; StartupError where that cannot be."""
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            # A thread never waits for another's connection, only for SQLite's own lock.
            max_overflow=-1,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
            hide_parameters=True,  # they are users' texts, and errors are logged
        )
        event.listen(self._engine, "connect", _set_up_connection)
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
        self._engine.dispose()

    # ---- what mem0 calls

    def add_history(
        self,
        memory_id: str,
        old_memory: str | None,
        new_memory: str | None,
        event: str,
        **details: Any,
    ) -> None:
        row = {"memory_id": memory_id, "old_memory": old_memory, "new_memory": new_memory}
        self.batch_add_history([{**row, "event": event, **details}])

    @_translated
    def batch_add_history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one transaction. Keys are the column names; `id` is made here."""
        if not records:
            return
        rows = [
            {
                column.name: record.get(column.name)
                for column in HISTORY.c
                if column.name not in ("seq", "id", "is_deleted")
            }
            | {"id": new_id(), "is_deleted": bool(record.get("is_deleted"))}
            for record in records
        ]
        with self._write() as connection:
            connection.execute(insert(HISTORY), rows)

    @_translated
    def get_history(self, memory_id: str) -> list[dict[str, Any]]:
        """The rows of one memory, oldest first."""
        query = select(*_SHOWN).where(HISTORY.c.memory_id == memory_id).order_by(HISTORY.c.seq)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @_translated
    def save_messages(self, messages: Sequence[Mapping[str, Any]], session_scope: str) -> None:
        """Keep the last messages of a conversation, to give the LLM context next time."""
        if not messages:
            return
        shared = {
            "session_scope": session_scope,
            "created_at": now(),
            **parse_scope(session_scope),
        }
        rows = [
            {key: message.get(key) for key in ("role", "content", "name")}
            | {"id": new_id(), **shared}
            for message in messages[-MESSAGES_KEPT:]
        ]
        mine = MESSAGES.c.session_scope == session_scope
        newest = (
            select(MESSAGES.c.seq).where(mine).order_by(MESSAGES.c.seq.desc()).limit(MESSAGES_KEPT)
        )
        with self._write() as connection:
            connection.execute(insert(MESSAGES), rows)
            connection.execute(delete(MESSAGES).where(mine, MESSAGES.c.seq.not_in(newest)))

    @_translated
    def get_last_messages(
        self, session_scope: str, limit: int = MESSAGES_KEPT
    ) -> list[dict[str, Any]]:
        """The last messages of a conversation, oldest first."""
        columns = [MESSAGES.c[name] for name in ("role", "content", "name", "created_at")]
        query = (
            select(*columns)
            .where(MESSAGES.c.session_scope == session_scope)
            .order_by(MESSAGES.c.created_at.desc(), MESSAGES.c.seq.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()][::-1]

    @_translated
    def reset(self) -> None:
        """Forget everything; the texts leave the file too."""
        with self._write() as connection:
            connection.execute(delete(HISTORY))
            connection.execute(delete(MESSAGES))
        self._checkpoint()

    # ---- what the service needs besides

    @_translated
    def forget_messages(self, scope: Scope) -> None:
        """Drop the conversations of every scope that `scope` spans."""
        with self._write() as connection:
            connection.execute(delete(MESSAGES).where(_within(MESSAGES, scope)))

    @_translated
    def purge(self, scope: Scope) -> None:
        """Erase the texts of the memories of `scope`, deleted ones too; their events stay."""
        with self._write() as connection:
            erase = update(HISTORY).values(old_memory=None, new_memory=None)
            connection.execute(erase.where(_within(HISTORY, scope)))
        self._checkpoint()

    @_translated
    def check(self) -> None:
        """Raises HistoryUnavailable when it does not answer."""
        with self._engine.connect() as connection:
            connection.execute(select(VERSION.c.version))

    # ---- inside

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start.

        A transaction that begins by reading and then writes would fail at once with
        "database is locked", without waiting, when another process wrote in between.
        """
        with self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _create(self) -> None:
        with self._write() as connection:
            TABLES.create_all(connection)
            version = connection.scalar(select(func.max(VERSION.c.version)))
            if version is None:
                connection.execute(insert(VERSION), {"version": SCHEMA_VERSION})
            elif version > SCHEMA_VERSION:
                raise StartupError(
                    f"The history database has schema version {version}; this service knows "
                    f"{SCHEMA_VERSION}. It was written by a newer version: run that one."
                )

    def _checkpoint(self) -> None:
        """Bring the write-ahead log into the file, so that erased texts are gone from both."""
        with self._engine.connect() as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        if busy:
            raise HistoryUnavailable(
                "The texts are erased, but a reader of the history database still holds its log, "
                "which has them. Ask again."
            )


def _set_up_connection(connection: Any, _record: Any) -> None:
    # None: the driver begins no transaction of its own, so _write can say BEGIN IMMEDIATE.
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete=ON")
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


def _within(table: Table, scope: Scope) -> ColumnElement[bool]:
    conditions = [table.c[key] == value for key, value in scope.items()]
    result: ColumnElement[bool] = true()
    for condition in conditions:
        result = result & condition
    return result


def parse_scope(session_scope: str) -> Scope:
    """The scope in mem0's session key, such as `agent_id=a%26b&user_id=alice`."""
    pairs = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in pairs if key in SCOPE_KEYS}
