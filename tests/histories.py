"""What tests write into a history, and read back."""

from typing import Any

from app.security.scopes import Scope
from app.storage.history import rows
from app.storage.history.intents import Intents
from app.storage.history.messages import MESSAGES_KEPT, Messages
from app.storage.history.rows import History
from app.storage.history.together import NewIntent


def row(memory_id: str = "m", **columns: Any) -> dict[str, Any]:
    return {"memory_id": memory_id, "event": "ADD", "new_memory": "tea", **columns}


def add(history: History, *written: dict[str, Any]) -> None:
    """In one transaction."""
    history.database.write(lambda connection: rows.add(connection, written))


def save(history: History, messages: list[dict[str, str]], session_scope: str) -> None:
    Messages(history.database).save([(messages, session_scope)])


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def contents(history: History, session_scope: str, limit: int = MESSAGES_KEPT) -> list[str]:
    return [
        found["content"]
        for found in Messages(history.database).get_last_messages(session_scope, limit)
    ]


def delete_scope(history: History, scope: Scope, *, purge: bool = False) -> None:
    """What a delete_all of no memories leaves to the history."""
    intents = Intents(history.database)
    number = intents.begin("p", NewIntent("an id", 2, "{}"))
    intents.finish_deletion(number, scope, keep=False, purge=purge)
    history.database.keeps_erased()
