"""The tables of the history database."""

import json
import uuid
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    insert,
    inspect,
    select,
    true,
    update,
)

from app.security.scopes import SCOPE_KEYS, Scope

SCHEMA_VERSION = 3
"""1: history and messages. 2: intents and answers. 3: intents have an id, a version and parts;
answers may be erased."""

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
INTENTS = Table(  # journal.py says what they are for
    "intents",
    TABLES,
    Column("seq", Integer, primary_key=True),
    Column("id", String(36), index=True),
    Column("process", String(36), nullable=False, index=True),
    Column("done", Boolean, nullable=False, default=False),
    # Its parts are still being written down: nothing was done yet.
    Column("collecting", Boolean, nullable=False, default=False, server_default="0"),
    Column("version", Integer, nullable=False, default=1, server_default="1"),  # of the body
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,  # a number is never used twice: it is the order of the writes
)
PARTS = Table(  # of intents that delete many
    "intent_parts",
    TABLES,
    Column("intent", Integer, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("ids", Text, nullable=False),
    Column("rows", Text),  # for the history; null once they are in it
)
ANSWERS = Table(  # repeats.py says what they are for
    "answers",
    TABLES,
    Column("caller", String, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("process", String(36), nullable=False, index=True),
    Column("intent", Integer, index=True),
    Column("answer", Text),  # null while the first is at work
    Column("erased", Boolean, nullable=False, default=False, server_default="0"),
    Column("asked_at", Float, nullable=False, index=True),
    *_scope_columns(),
)
VERSION = Table("schema_version", TABLES, Column("version", Integer, nullable=False))

_ADDED = {  # by version 3
    "intents": {
        "id": "VARCHAR(36)",
        "collecting": "BOOLEAN NOT NULL DEFAULT 0",
        "version": "INTEGER NOT NULL DEFAULT 1",
    },
    "answers": {"erased": "BOOLEAN NOT NULL DEFAULT 0"},
}


def migrate(connection: Connection) -> None:
    """Bring the tables of any earlier version to this one; made anew where there are none."""
    there = inspect(connection)
    for table, columns in _ADDED.items():
        if not there.has_table(table):
            continue
        known = {column["name"] for column in there.get_columns(table)}
        for name, kind in columns.items():
            if name not in known:
                connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    TABLES.create_all(connection)
    for made in TABLES.tables.values():
        for index in made.indexes:
            index.create(connection, checkfirst=True)
    _intents_of_version_2(connection)


def _intents_of_version_2(connection: Connection) -> None:
    """There an intent had no id, and a deletion by scope held its rows in itself."""
    old = select(INTENTS.c.seq, INTENTS.c.done, INTENTS.c.body).where(INTENTS.c.version == 1)
    for number, done, body in connection.execute(old).all():
        given = json.loads(body)
        scope, purge = given.pop("scope", None), given.pop("purge", False)
        id_ = str(uuid.uuid4())
        new = {**given, "kind": "write", "id": id_}
        if scope is not None:
            new = {"kind": "deletion", "scope": scope, "purge": purge, "id": id_}
            rows = None if done else json.dumps(given["rows"])
            part = {"intent": number, "part": 0, "ids": json.dumps(given["deleted"]), "rows": rows}
            connection.execute(insert(PARTS), part)
        changed = update(INTENTS).where(INTENTS.c.seq == number)
        connection.execute(changed.values(id=id_, version=2, body=json.dumps(new)))


def within(table: Table, scope: Scope) -> ColumnElement[bool]:
    """The rows of a scope; of everybody where it is empty."""
    return and_(true(), *(table.c[key] == value for key, value in scope.items()))
