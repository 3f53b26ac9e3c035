"""The tables of the history database. Long because all of them stand in one place."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    func,
    insert,
    inspect,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from app.errors import StartupError
from app.security.scopes import SCOPE_KEYS, Scope

SCHEMA_VERSION = 7
"""1: history and messages. 2: intents and answers. 3: intents have an id, a version and parts;
answers may be erased. 4: app_id; keys, and who wrote what. 5: jobs. 6: leases and locks of
processes, tombstones. 7: the catalogue of a fleet, and its deletions by scope. A new version needs
a migration, see migrations/."""

TABLES = MetaData()

Number = Integer().with_variant(BigInteger, "postgresql")
"""The number of a row, in the order in which rows are added. Two rows that are added at the same
time may be committed in the other order. A row that is added after another one was committed always
has the higher number."""

Time = String(40).with_variant(String(collation="C"), "postgresql")
"""A time as a text, see payloads.py. It is compared byte by byte, whatever the locale is."""

MemoryId = String(36).with_variant(String(36, collation="C"), "postgresql")
"""The id of a memory that sorts as in the store."""

Value = String().with_variant(String(collation="C"), "postgresql")
"""An id of a scope that sorts alike in every database."""


def _scope_columns(
    type_: TypeEngine[str] | type[String] = String, *, index: bool = True
) -> list[Column[Any]]:
    return [Column(key, type_, index=index) for key in SCOPE_KEYS]


HISTORY = Table(
    "history",
    TABLES,
    Column("seq", Number, primary_key=True),  # the order in which things happened
    Column("id", String(36), nullable=False),
    Column("memory_id", String(36), nullable=False),
    Column("old_memory", Text),
    Column("new_memory", Text),
    Column("event", String(8), nullable=False),
    Column("created_at", Time),
    Column("updated_at", Time),
    Column("is_deleted", Boolean, nullable=False, default=False),
    Column("actor_id", String),
    Column("role", String),
    Column("written_by", String(36)),  # the id of a key; null where none was needed
    *_scope_columns(),
    Index("ix_history_memory_id", "memory_id"),
    Index("ix_history_written_by_updated_at", "written_by", "updated_at"),
)
MESSAGES = Table(
    "messages",
    TABLES,
    Column("seq", Number, primary_key=True),
    Column("id", String(36), nullable=False),
    Column("session_scope", String, nullable=False),
    Column("role", String),
    Column("content", Text),
    Column("name", String),
    Column("created_at", Time, nullable=False),
    *_scope_columns(),
    # In PostgreSQL an entry of any other kind of index must be shorter than 2,700 bytes.
    Index("ix_messages_session_scope", "session_scope", postgresql_using="hash"),
)
INTENTS = Table(  # journal.py says what they are for
    "intents",
    TABLES,
    Column("seq", Number, primary_key=True),
    Column("id", String(36), index=True),
    Column("process", String(36), nullable=False, index=True),
    Column("done", Boolean, nullable=False, default=False),
    # Its parts are still being written down: nothing was done yet.
    Column("collecting", Boolean, nullable=False, default=False, server_default=false()),
    Column("version", Integer, nullable=False, default=1, server_default="1"),  # of the body
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,  # a number is never used twice: it is the order of the writes
)
LOCKS = Table(  # of the processes of a fleet; held.py says what they are
    "locks",
    TABLES,
    Column("seq", Number, primary_key=True),  # the order of their coming
    Column("process", String(36), nullable=False, index=True),
    Column("hold", String(36), nullable=False, index=True),  # what is taken and let go at once
    Column("kind", String(6), nullable=False),
    Column("key", String, index=True),  # such as the id of a memory
    # That goes on under it. With the row of an intent its locks go.
    Column("intent", Number, ForeignKey(INTENTS.c.seq, ondelete="CASCADE"), index=True),
    *_scope_columns(index=False),
    sqlite_autoincrement=True,
)
TOMBSTONES = Table(  # of memories that may arrive late; tombstones.py says which
    "tombstones",
    TABLES,
    Column("memory_id", String(36), primary_key=True),
    Column("kept_at", Float, nullable=False),
)
CATALOGUE = Table(  # the memories of a fleet, as far as users and totals need them; catalogue.py
    "catalogue",
    TABLES,
    Column("memory_id", MemoryId, primary_key=True),
    Column("expires_on", Date),  # the last day, in UTC, on which it is shown
    *_scope_columns(Value),
)
FILLING = Table(  # how far the catalogue was filled from the store: one row, or none yet
    "catalogue_filling",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("process", String(36)),  # that fills it
    Column("after", MemoryId),  # where it goes on; null at the beginning
    Column("seen", Number, nullable=False),  # so many memories
    Column("complete", Boolean, nullable=False),
)
DELETIONS = Table(  # by scope, in the order of their beginnings; each is kept for a while
    "deletions",
    TABLES,
    Column("seq", Number, primary_key=True),
    Column("intent", String(36), nullable=False, index=True),  # its id
    Column("ended_at", Float),  # seconds since 1970; null while it is at work
    *_scope_columns(index=False),
    sqlite_autoincrement=True,  # a number is never used twice
)
PARTS = Table(  # of intents that delete many
    "intent_parts",
    TABLES,
    Column("intent", Number, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("ids", Text, nullable=False),
    Column("rows", Text),  # for the history; null once they are in it
)
ANSWERS = Table(  # idempotency.py says what they are for
    "answers",
    TABLES,
    Column("caller", String, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("process", String(36), nullable=False, index=True),
    Column("intent", Number, index=True),
    Column("answer", Text),  # null while the first is at work
    Column("erased", Boolean, nullable=False, default=False, server_default=false()),
    Column("asked_at", Float, nullable=False, index=True),
    *_scope_columns(),
)
JOBS = Table(  # memory/jobs says what they are for
    "jobs",
    TABLES,
    Column("seq", Number, primary_key=True),  # the order in which they were accepted
    Column("id", String(36), nullable=False, unique=True),
    Column("state", String(10), nullable=False),
    Column("lane", String),  # which stands for its whole scope, until it has ended
    # What makes two requests the same, as in ANSWERS; a job without a key has one of its own.
    Column("caller", String, nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("asked_by", String(36), nullable=False),  # the principal's id
    Column("bound", Text, nullable=False),  # the principal's scope, as JSON
    Column("body", Text),  # what was asked, as JSON, until it has ended
    Column("outcome", Text),  # what it stored, or its last failure, as JSON
    Column("erased", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("interruptions", Integer, nullable=False, default=0),
    Column("process", String(36)),  # that runs it
    Column("due_at", Float, nullable=False),
    Column("accepted_at", Float, nullable=False),
    Column("began_at", Float),
    Column("ended_at", Float, index=True),
    *_scope_columns(),
    UniqueConstraint("caller", "key"),
    Index("ix_jobs_lane_seq", "lane", "seq"),
    Index("ix_jobs_state_seq", "state", "seq"),
    sqlite_autoincrement=True,  # a number is never used twice
)
KEYS = Table(  # issued.py says what of them; null is what is not known
    "keys",
    TABLES,
    Column("id", String(36), primary_key=True),
    Column("read_only", Boolean),
    Column("ends_at", Float),
    Column("created_at", Time),
    Column("last_used_on", String(10)),
    Column("revoked_at", Time),
    *_scope_columns(index=False),
)
PROCESSES = Table(  # leases.py says what they are for
    "processes",
    TABLES,
    Column("token", Number, primary_key=True),  # higher than those of all before it
    Column("id", String(36), nullable=False, unique=True),
    Column("renewed_at", DateTime(timezone=True), nullable=False),
    Column("recovered_by", String(36)),  # once it was declared dead
    # The newest that it knows. Null before 7: such a process does not keep the catalogue.
    Column("schema_version", Integer),
    sqlite_autoincrement=True,
)
VERSION = Table("schema_version", TABLES, Column("version", Integer, nullable=False))


def stored_version(connection: Connection) -> int | None:
    """The version of the tables that are there; None where there are none yet. StartupError where
    a table of that name is somebody else's."""
    there = inspect(connection)
    if not there.has_table(VERSION.name):
        return None
    known = {column["name"] for column in there.get_columns(VERSION.name)} == {"version"}
    version = connection.scalar(select(func.max(VERSION.c.version))) if known else None
    if not isinstance(version, int) or not there.has_table(HISTORY.name):
        raise StartupError(
            f"The history database has a table {VERSION.name} of another program: name a database "
            "of its own."
        )
    return version


def create(connection: Connection) -> None:
    """Make the tables of a new database. DBAPIError where one of their names is taken."""
    TABLES.create_all(connection, checkfirst=False)
    connection.execute(insert(VERSION), {"version": SCHEMA_VERSION})


def within(table: Table, scope: Scope) -> ColumnElement[bool]:
    """The rows of a scope; of everybody where it is empty."""
    return and_(true(), *(table.c[key] == value for key, value in scope.items()))
