"""What happened to each memory, and the last messages of each conversation.

Takes the place of mem0's SQLiteManager and keeps its method names, which mem0 calls. Beyond
mem0's columns every row carries the memory's own user_id, agent_id and run_id: once a memory
is deleted, nothing else knows whose it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from app.memory.database import Database
from app.memory.payloads import new_id, now
from app.memory.tables import HISTORY, MESSAGES, within
from app.scopes import SCOPE_KEYS, Scope

MESSAGES_KEPT = 10  # of each conversation, as mem0 keeps them
ERASED_AT_ONCE = 1000  # rows of one transaction: others write in between

Said = Sequence[tuple[Sequence[Mapping[str, Any]], str]]
"""Messages, and the conversation that they belong to."""

# What callers see of a row: mem0's columns. The scope and the sequence stay inside.
_SHOWN = [column for column in HISTORY.c if column.name not in ("seq", *SCOPE_KEYS)]
_GIVEN = [column.name for column in HISTORY.c if column.name not in ("seq", "id", "is_deleted")]

# Statements of every request are made once.
_READ = select(*_SHOWN).where(HISTORY.c.memory_id == bindparam("asked")).order_by(HISTORY.c.seq)
_ADD = insert(HISTORY)
_ADD_MESSAGES = insert(MESSAGES)
_OF_SESSION = MESSAGES.c.session_scope == bindparam("session")
_LAST = select(MESSAGES.c.seq).where(_OF_SESSION).order_by(MESSAGES.c.seq.desc())
_KEEP_LAST = delete(MESSAGES).where(
    _OF_SESSION, MESSAGES.c.seq.not_in(_LAST.limit(MESSAGES_KEPT).correlate(None))
)
_READ_LAST = (
    select(MESSAGES.c.role, MESSAGES.c.content, MESSAGES.c.name, MESSAGES.c.created_at)
    .where(_OF_SESSION)
    .order_by(MESSAGES.c.created_at.desc(), MESSAGES.c.seq.desc())
    .limit(bindparam("kept"))
)


class History:
    """The rows and the messages of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

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

    def batch_add_history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one transaction. Keys are the column names; `id` is made here."""
        self.database.write(lambda connection: add_rows(connection, records))

    def get_history(self, memory_id: str, scope: Scope | None = None) -> list[dict[str, Any]]:
        """The rows of one memory, oldest first; none where it is not of that scope."""
        rows = _READ.where(within(HISTORY, scope)) if scope else _READ
        with self.database.reading() as connection:
            found = connection.execute(rows, {"asked": memory_id})
            return [dict(row) for row in found.mappings()]

    def save_messages(self, messages: Sequence[Mapping[str, Any]], session_scope: str) -> None:
        """Keep the last messages of a conversation, to give the LLM context next time."""
        self.database.write(lambda connection: keep_said(connection, [(messages, session_scope)]))

    def get_last_messages(
        self, session_scope: str, limit: int = MESSAGES_KEPT
    ) -> list[dict[str, Any]]:
        """The last messages of a conversation, oldest first."""
        with self.database.reading() as connection:
            found = connection.execute(_READ_LAST, {"session": session_scope, "kept": limit})
            return [dict(row) for row in found.mappings()][::-1]

    def reset(self) -> None:
        """Forget everything; the texts leave the file too."""

        def write(connection: Connection) -> None:
            connection.execute(delete(HISTORY))
            connection.execute(delete(MESSAGES))

        self.database.write(write)
        self.database.empty_log()

    def close(self) -> None:
        self.database.close()

    # ---- what the service needs besides

    def living(self) -> int:
        """How many memories it knows that were not deleted."""
        born = case((HISTORY.c.event == "ADD", 1), (HISTORY.c.event == "DELETE", -1), else_=0)
        with self.database.reading() as connection:
            return connection.scalar(select(func.coalesce(func.sum(born), 0))) or 0


def add_rows(connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Keys are the column names; `id` is made here."""
    if not records:
        return
    rows = [
        {name: record.get(name) for name in _GIVEN}
        | {"id": new_id(), "is_deleted": bool(record.get("is_deleted"))}
        for record in records
    ]
    connection.execute(_ADD, rows)


def keep_said(connection: Connection, said: Said) -> None:
    for messages, session_scope in said:
        shared = {"session_scope": session_scope, "created_at": now(), **parse_scope(session_scope)}
        rows = [
            {key: message.get(key) for key in ("role", "content", "name")}
            | {"id": new_id(), **dict.fromkeys(SCOPE_KEYS), **shared}
            for message in messages[-MESSAGES_KEPT:]
        ]
        if rows:
            connection.execute(_ADD_MESSAGES, rows)
            connection.execute(_KEEP_LAST, {"session": session_scope})


def forget_said(connection: Connection, scope: Scope) -> None:
    """Drop the conversations of every scope that it spans."""
    connection.execute(delete(MESSAGES).where(within(MESSAGES, scope)))


def erase_texts(connection: Connection, scope: Scope, after: int) -> int | None:
    """Erase the texts of the next rows of a scope, those of deleted memories too; the events
    stay. The number of the last of them where there may be more, else None."""
    these = select(HISTORY.c.seq).where(within(HISTORY, scope), HISTORY.c.seq > after)
    found = connection.scalars(these.order_by(HISTORY.c.seq).limit(ERASED_AT_ONCE)).all()
    erased = update(HISTORY).values(old_memory=None, new_memory=None)
    connection.execute(erased.where(HISTORY.c.seq.in_(found)))
    return found[-1] if len(found) == ERASED_AT_ONCE else None


def parse_scope(session_scope: str) -> Scope:
    """The scope in mem0's session key, such as `agent_id=a%26b&user_id=alice`."""
    pairs = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in pairs if key in SCOPE_KEYS}
