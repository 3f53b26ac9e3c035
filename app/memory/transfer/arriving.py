"""A memory that is being imported: the payload to store, its history and its vector."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.embeddings import EmbedderInfo, Vector
from app.memory.transfer.models import ConversationLine, EventLine, MemoryLine
from app.security.scopes import Scope
from app.storage.payloads import (
    ASKS,
    PLACE,
    REVISION,
    Payload,
    history_row,
    instant,
    new_payload,
    now,
    said_at,
    scope_of,
)

OWN_IDS = uuid.UUID("5d0c9d4e-3f4c-5b57-9b0e-6f0a1c6f2d11")
"""The name space for ids that are made from the content of a memory (RFC 9562, version 5)."""

_NOT_CONTENT = {"updated_at", "hash", "id", "text_lemmatized", "created_at", PLACE, ASKS, REVISION}


@dataclass(frozen=True, slots=True)
class Arriving:
    line: int
    id: str
    payload: Payload
    events: Sequence[EventLine] = ()
    """Its history, oldest first."""
    vector: Vector | None = None
    """Its vector from the file, where that can be used here."""
    is_dated: bool = True
    """Whether the file says when it was created; if not, the payload has the current time."""

    @property
    def scope(self) -> Scope:
        return scope_of(self.payload)

    def is_same(self, stored: Payload) -> bool:
        """Whether `stored` has the same content and creation time; `updated_at` does not count."""
        if self.is_dated and not _same_time(self.payload["created_at"], stored.get("created_at")):
            return False
        return _content(self.payload) == _content(stored)

    def replacing(self, stored: Payload) -> Payload:
        """The payload that replaces `stored`, with the current time as `updated_at`."""
        created_at = self.payload if self.is_dated else stored
        return {**self.payload, "created_at": created_at["created_at"], "updated_at": now()}

    def rows(self, written_by: str | None, *, with_history: bool) -> list[Payload]:
        """The rows for the history: those of the file, or one ADD of the current time."""
        if with_history and self.events:
            return _restored(self.id, self.scope, self.payload, self.events)
        time = now()
        row = history_row("ADD", self.id, None, self.payload, written_by)
        return [{**row, "created_at": time, "updated_at": time}]


def of_memory(
    line: int, read: MemoryLine, made_by: EmbedderInfo | None, here: EmbedderInfo
) -> Arriving:
    """A memory from a line. `made_by` is the embedder that made the vectors of the file, `here` the
    current one. The line's vector is used if they are the same and its text was not changed."""
    scope = read.scope()
    payload = new_payload(
        read.memory,
        scope,
        read.metadata or {},
        role=read.role,
        actor_id=read.actor_id,
        attributed_to=read.attributed_to,
        expiration_date=read.expiration_date,
    )
    created_at = read.created_at or payload["created_at"]
    payload |= {"created_at": created_at, "updated_at": read.updated_at or created_at}
    if read.place is not None:
        payload[PLACE] = read.place
    id_ = read.id or _id(read.memory, scope, read.created_at, read.role, read.actor_id)
    usable = made_by == here and read.hash in (None, payload["hash"])
    vector = read.vector if usable and len(read.vector or ()) == here.dimensions else None
    return Arriving(line, id_, payload, read.history or (), vector, read.created_at is not None)


def of_conversation(line: int, read: ConversationLine) -> list[Arriving]:
    """A memory for each message of a conversation, except those of the system."""
    scope = read.scope()
    first = read.timestamp or next((one.time for one in read.messages if one.time), None)
    arriving = []
    for place, said in enumerate(read.messages):
        if said.role == "system":
            continue
        payload = new_payload(said.content, scope, {}, role=said.role, actor_id=said.name)
        if time := said.time or first:
            payload = said_at(payload, time, 0 if said.time else place)
            payload["updated_at"] = payload["created_at"]
        if first:  # the time makes numbers that no other conversation has
            payload[PLACE] = _microseconds(first) + place
        id_ = _id(said.content, scope, read.id or first, said.role, place)
        arriving.append(Arriving(line, id_, payload, is_dated=bool(time)))
    return arriving


def _restored(
    id_: str, scope: Scope, payload: Payload, events: Sequence[EventLine]
) -> list[Payload]:
    rows = restored_rows(id_, scope, events)
    if all(row["event"] != "ADD" for row in rows):
        # mem0 stored the memory without a history: it begins with the text before the changes.
        was = {**payload, "data": events[0].old_memory, "updated_at": payload["created_at"]}
        rows.insert(0, history_row("ADD", id_, None, was))
    return rows


def restored_rows(id_: str, scope: Scope, events: Sequence[EventLine]) -> list[Payload]:
    return [
        {**one.model_dump(), "memory_id": id_, "is_deleted": one.event == "DELETE", **scope}
        for one in events
    ]


def _id(text: str, scope: Scope, *rest: Any) -> str:
    """An id made from the content, so that a line without an id is imported only once."""
    return str(uuid.uuid5(OWN_IDS, json.dumps([text, sorted(scope.items()), *rest])))


def _content(payload: Payload) -> Payload:
    return {k: v for k, v in payload.items() if k not in _NOT_CONTENT and v is not None}


def _same_time(one: str, other: Any) -> bool:
    try:
        return one == other or instant(one) == instant(other)
    except (ValueError, TypeError, OverflowError):  # another program stored no valid time
        return False


def _microseconds(time: str) -> int:
    return round(instant(time).timestamp() * 1_000_000)
