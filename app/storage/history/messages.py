"""The last messages of each conversation, which the LLM gets as context in the next add."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, bindparam, delete, insert, select

from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.schema import MESSAGES, within
from app.storage.payloads import new_id, now

MESSAGES_KEPT = 10  # of each conversation, as in mem0

Said = Sequence[tuple[Sequence[Mapping[str, Any]], str]]
"""Messages, each time with the session key of their conversation."""

_ESCAPED = str.maketrans({"%": "%25", "&": "%26", "=": "%3D"})

# These statements are made once, because requests often need them.
_ADD = insert(MESSAGES)
_OF_SESSION = MESSAGES.c.session_scope == bindparam("session")
_LAST = select(MESSAGES.c.seq).where(_OF_SESSION).order_by(MESSAGES.c.seq.desc())
_KEEP_LAST = delete(MESSAGES).where(
    _OF_SESSION, MESSAGES.c.seq.not_in(_LAST.limit(MESSAGES_KEPT).correlate(None))
)
_READ_LAST = (
    select(MESSAGES.c.role, MESSAGES.c.content, MESSAGES.c.name, MESSAGES.c.created_at)
    .where(_OF_SESSION)
    .order_by(MESSAGES.c.seq.desc())  # the clocks of several hosts differ
    .limit(bindparam("kept"))
)


class Messages:
    """The messages in a database. Methods that mem0 calls have mem0's names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_last_messages(
        self, session_scope: str, limit: int = MESSAGES_KEPT
    ) -> list[dict[str, Any]]:
        """The last messages of a conversation, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(_READ_LAST, {"session": session_scope, "kept": limit})
            return [dict(row) for row in found.mappings()][::-1]

    def save(self, said: Said) -> None:
        """Keep the last messages of conversations."""
        self._database.write(lambda connection: save(connection, said))


def save(connection: Connection, said: Said) -> None:
    for messages, session_scope in said:
        shared = {"session_scope": session_scope, "created_at": now(), **parse_scope(session_scope)}
        rows = [
            {key: message.get(key) for key in ("role", "content", "name")}
            | {"id": new_id(), **dict.fromkeys(SCOPE_KEYS), **shared}
            for message in messages[-MESSAGES_KEPT:]
        ]
        if rows:
            connection.execute(_ADD, rows)
            connection.execute(_KEEP_LAST, {"session": session_scope})


def forget(connection: Connection, scope: Scope) -> int:
    """Delete the messages of all conversations in a scope. Returns how many."""
    return connection.execute(delete(MESSAGES).where(within(MESSAGES, scope))).rowcount


def session_key(scope: Scope) -> str:
    """The session key of a scope, in mem0's form."""
    return "&".join(f"{key}={scope[key].translate(_ESCAPED)}" for key in sorted(scope))


def parse_scope(session_scope: str) -> Scope:
    """The scope in a session key, such as `agent_id=a%26b&user_id=alice`."""
    pairs = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in pairs if key in SCOPE_KEYS}
