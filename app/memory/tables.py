"""The tables of the history database, and its statements that every request needs."""

from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

from app.scopes import SCOPE_KEYS

SCHEMA_VERSION = 2

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
INTENTS = Table(  # since version 2; journal.py says what they are for
    "intents",
    TABLES,
    Column("seq", Integer, primary_key=True),
    Column("process", String(36), nullable=False, index=True),
    Column("done", Boolean, nullable=False, default=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,  # a number is never used twice: it is the order of the writes
)
ANSWERS = Table(  # since version 2; repeats.py says what they are for
    "answers",
    TABLES,
    Column("caller", String, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("process", String(36), nullable=False, index=True),
    Column("intent", Integer, index=True),
    Column("answer", Text),  # null while the first is at work
    Column("asked_at", Float, nullable=False, index=True),
    *_scope_columns(),
)
VERSION = Table("schema_version", TABLES, Column("version", Integer, nullable=False))

# What callers see of a row: mem0's columns. The scope and the sequence stay inside.
SHOWN = [column for column in HISTORY.c if column.name not in ("seq", *SCOPE_KEYS)]


# What every request needs is kept as text: to build these statements and look them up again takes
# SQLAlchemy several times as long as SQLite takes to run them.
GIVEN = [column.name for column in HISTORY.c if column.name not in ("seq", "id", "is_deleted")]


def _insert(table: Table) -> str:
    names = [column.name for column in table.c if column.name not in ("seq", "done")]
    values = ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 # our names


ADD_ROW = _insert(HISTORY)
READ_ROWS = (
    "SELECT id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, "
    "actor_id, role FROM history WHERE memory_id = :memory_id ORDER BY seq"
)
ADD_INTENT = "INSERT INTO intents (process, body, done) VALUES (:process, :body, 0)"
FINISH_INTENT = "UPDATE intents SET done = 1 WHERE seq = ?"
DROP_INTENT = "DELETE FROM intents WHERE seq = ?"
ADD_MESSAGE = _insert(MESSAGES)
KEEP_LAST = (
    "DELETE FROM messages WHERE session_scope = :session AND seq NOT IN (SELECT seq FROM messages "
    "WHERE session_scope = :session ORDER BY seq DESC LIMIT :kept)"
)
READ_LAST = (
    "SELECT role, content, name, created_at FROM messages WHERE session_scope = :session "
    "ORDER BY created_at DESC, seq DESC LIMIT :kept"
)
