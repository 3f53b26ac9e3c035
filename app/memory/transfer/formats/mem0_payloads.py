"""The payloads that mem0's open-source library stores in a vector store.

A payload has the text under `data`, and `hash`, `text_lemmatized`, times, ids of the scope,
`actor_id`, `role`, `attributed_to`, `expiration_date`. The caller's metadata are at the same level.
Source: mem0ai 2.2.1, mem0/memory/main.py (`_create_memory`, `get`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.memory.transfer.formats.values import (
    Unreadable,
    date_of,
    id_of,
    metadata_of,
    scope_in,
    text_of,
    time_of,
)
from app.memory.transfer.records import ImportedEvent, ImportedMemory
from app.security.scopes import SCOPE_KEYS
from app.storage.payloads import ASKS, PLACE

HistoryOf = Callable[[str], Sequence[ImportedEvent]]
"""The events of the memory with this id, oldest first."""

_OWN = frozenset(
    (
        *("data", "hash", "text_lemmatized", "id", "created_at", "updated_at", "role", "actor_id"),
        *("attributed_to", "expiration_date", PLACE, ASKS, *SCOPE_KEYS),
    )
)


def memory_in(line: int, point_id: Any, payload: Any, history_of: HistoryOf) -> ImportedMemory:
    """The memory of one point. Raises Unreadable."""
    if not isinstance(payload, Mapping) or "data" not in payload:
        raise Unreadable("the point has no text under data: it is no memory of mem0")
    if "linked_memory_ids" in payload:
        raise Unreadable("the point is an entity that mem0 found in memories, and no memory")
    text = text_of(payload["data"], "data")
    memory_id = id_of(point_id)
    place = payload.get(PLACE)
    return ImportedMemory(
        line=line,
        id=memory_id,
        memory=text or "",
        scope=scope_in(payload),
        metadata=metadata_of({key: one for key, one in payload.items() if key not in _OWN}),
        created_at=time_of(payload.get("created_at"), "created_at"),
        updated_at=time_of(payload.get("updated_at"), "updated_at"),
        expiration_date=date_of(payload.get("expiration_date"), "expiration_date"),
        role=text_of(payload.get("role"), "role"),
        actor_id=text_of(payload.get("actor_id"), "actor_id"),
        attributed_to=text_of(payload.get("attributed_to"), "attributed_to"),
        place=place if isinstance(place, int) and not isinstance(place, bool) else None,
        history=history_of(str(point_id)),
    )
