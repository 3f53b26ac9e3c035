"""What a memory looks like inside a point, and as callers see it.

The payload keeps mem0's flat shape, so that a collection can be shared with mem0: the text
under `data`, mem0's own keys beside it, and the caller's metadata at the same level.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.security.scopes import SCOPE_KEYS, Scope

Payload = dict[str, Any]

# Keys beside the scope that callers see at the top level of a memory.
_SHOWN_IF_SET = ("actor_id", "role", "attributed_to", "expiration_date")

PLACE = "_place"
"""In the order of writing: a number, one more for each memory of a conversation."""
ASKS = "_asks"
"""True where the text is a question."""

REVISION = "_revision"
"""Who wrote it last: the id of an intent. Only where several processes share the store."""

_CORE_KEYS = (
    *("data", "hash", "created_at", "updated_at", "id", "text_lemmatized"),
    *(PLACE, ASKS, REVISION),
)

_QUESTION_MARKS = ("?", "？", "؟")
_CLOSING = " \t\r\n\"'”’»」』)）"  # what may stand behind one

RESERVED_KEYS = frozenset((*SCOPE_KEYS, *_SHOWN_IF_SET, *_CORE_KEYS))
"""The payload keys of mem0 and of a scope. Metadata may not use them: `created_at: 5`
stored from metadata would break every later listing that meets it."""


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> str:
    return written_down(datetime.now(UTC))


def written_down(time: datetime) -> str:
    """A time in UTC as rows and payloads have it: texts in the order of their times."""
    return time.isoformat(timespec="microseconds")


def instant(text: str) -> datetime:
    """A time in UTC; one without a zone is taken for UTC, as Qdrant takes it.

    Raises ValueError, or OverflowError for a zone that leads out of the years 1 to 9999.
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def today() -> str:
    """The UTC date that decides what has expired, as mem0 decides it."""
    return datetime.now(UTC).date().isoformat()


def new_payload(text: str, scope: Scope, metadata: Mapping[str, Any], **own: str | None) -> Payload:
    """The payload of a new memory; `own` are mem0's keys such as role, where not None."""
    created_at = now()
    own_keys = {**own, **_text_keys(text)}
    return {
        **metadata,
        **scope,
        **{key: value for key, value in own_keys.items() if value is not None},
        "created_at": created_at,
        "updated_at": created_at,
    }


def said_at(payload: Payload, time: str, place: int) -> Payload:
    """`payload` of a new memory of something that was said at `time`; `place` is its place among
    those of the same time, which then keep their order. What is written now is updated now."""
    created_at = instant(time) + timedelta(microseconds=place)
    return {**payload, "created_at": written_down(created_at)}


def changed_payload(payload: Payload, text: str | None, changes: Mapping[str, Any]) -> Payload:
    """`payload` with another text and with `changes` to its other keys; None removes a date."""
    text_keys = {} if text is None else _text_keys(text)
    changed = {**payload, **changes, **text_keys, "updated_at": now()}
    for key in ("expiration_date", ASKS):
        if changed.get(key) is None:
            changed.pop(key, None)
    return changed


def _text_keys(text: str) -> Payload:
    # md5 because mem0 finds duplicates by it; nothing secret hangs on it.
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    asks = text.rstrip(_CLOSING).endswith(_QUESTION_MARKS)
    return {"data": text, "hash": digest, ASKS: asks or None}


def to_memory(memory_id: str, payload: Payload) -> dict[str, Any]:
    """A memory as callers see it."""
    scope = scope_of(payload)
    return {
        "id": memory_id,
        "memory": payload.get("data", ""),
        "hash": payload.get("hash"),
        **scope,
        **{key: payload[key] for key in _SHOWN_IF_SET if payload.get(key)},
        "metadata": {
            key: value
            for key, value in payload.items()
            if key not in RESERVED_KEYS or (key == "app_id" and key not in scope)
        },
        "created_at": payload.get("created_at"),
        "updated_at": payload.get("updated_at"),
    }


def scope_of(payload: Payload) -> Scope:
    """The ids that it has. An `app_id` that is no text is none: 0.1.0 took any as metadata."""
    return {
        key: value
        for key in SCOPE_KEYS
        if (value := payload.get(key)) and (key != "app_id" or isinstance(value, str))
    }


def is_expired(payload: Payload) -> bool:
    date = payload.get("expiration_date")
    return isinstance(date, str) and date < today()


def history_row(
    event: str,
    memory_id: str,
    old: Payload | None,
    new: Payload | None,
    written_by: str | None = None,
) -> Payload:
    """The history row of a memory that was `old` and is `new`; None where it is not there.
    `written_by` is the id of the key that was used, where one was needed."""
    payload = new or old or {}
    # A memory may be of something that was said long before it is written.
    time = "updated_at" if old is None else "created_at"
    return {
        "memory_id": memory_id,
        "event": event,
        "old_memory": old and old.get("data"),
        "new_memory": new and new.get("data"),
        "created_at": payload.get(time),
        "updated_at": now() if new is None else payload.get("updated_at"),
        "is_deleted": new is None,
        "actor_id": payload.get("actor_id"),
        "role": payload.get("role"),
        "written_by": written_by,
        **scope_of(payload),
    }
