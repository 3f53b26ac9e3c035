"""The payload of a memory's point, and the memory as callers see it.

The payload has mem0's flat shape, so that a collection can be shared with mem0: the text is under
`data`, with mem0's own keys beside it, and the caller's metadata at the same level.
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
"""The number of the memory in its conversation, in the order of writing, see app.memory.places."""
ASKS = "_asks"
"""True where the text is a question."""

REVISION = "_revision"
"""The id of the intent that wrote the memory last; only where several processes share the store."""

_CORE_KEYS = (
    *("data", "hash", "created_at", "updated_at", "id", "text_lemmatized"),
    *(PLACE, ASKS, REVISION),
)

_QUESTION_MARKS = ("?", "？", "؟")
_CLOSING = " \t\r\n\"'”’»」』)）"  # may follow a question mark

RESERVED_KEYS = frozenset((*SCOPE_KEYS, *_SHOWN_IF_SET, *_CORE_KEYS))
"""The payload keys of mem0 and of a scope. Metadata must not use them: metadata with
`created_at: 5` would break every listing with that memory."""


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> str:
    return written_down(datetime.now(UTC))


def written_down(time: datetime) -> str:
    """A time in UTC in the form of rows and payloads, which sorts as text like the times."""
    return time.isoformat(timespec="microseconds")


def instant(text: str) -> datetime:
    """The time in `text`, in UTC. A time without a zone is in UTC, as for Qdrant.

    Raises ValueError, or OverflowError where the year in UTC is not from 1 to 9999.
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def today() -> str:
    """The date in UTC, which decides what has expired, as in mem0."""
    return datetime.now(UTC).date().isoformat()


def new_payload(text: str, scope: Scope, metadata: Mapping[str, Any], **own: str | None) -> Payload:
    """The payload of a new memory. `own` are mem0's keys such as role; None leaves a key out."""
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
    """`payload`, of a new memory, with `created_at` for something that was said at `time`. `place`
    is its number among memories of the same time; it adds microseconds, so that they keep their
    order. `updated_at` stays the time of writing."""
    created_at = instant(time) + timedelta(microseconds=place)
    return {**payload, "created_at": written_down(created_at)}


def changed_payload(payload: Payload, text: str | None, changes: Mapping[str, Any]) -> Payload:
    """`payload` with another text and other keys; an expiration_date of None is removed."""
    text_keys = {} if text is None else _text_keys(text)
    changed = {**payload, **changes, **text_keys, "updated_at": now()}
    for key in ("expiration_date", ASKS):
        if changed.get(key) is None:
            changed.pop(key, None)
    return changed


def _text_keys(text: str) -> Payload:
    # md5 because mem0 finds duplicates by it; it is not used for security.
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
    """The ids of a scope in `payload`. An `app_id` that is no text is metadata: version 0.1.0
    allowed it."""
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
    """The history row of a memory that changed from `old` to `new`; None where it does not exist.
    `written_by` is the id of the key that was used, if any."""
    payload = new or old or {}
    # An ADD has the time of writing: `created_at` may be long before it, see `said_at`.
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
