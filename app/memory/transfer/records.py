"""What an import brings, whatever it was read from.

Records are as their source has them: nothing is checked here, but when they are imported. A source
that has no value for a field leaves it out. Times are texts of ISO 8601, dates `YYYY-MM-DD`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from app.embeddings import EmbedderInfo, Vector
from app.security.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEvent:
    """A row of a memory's history."""

    event: str
    """`ADD`, `UPDATE` or `DELETE`."""
    old_memory: str | None = None
    new_memory: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    actor_id: str | None = None
    role: str | None = None
    written_by: str | None = None
    """The id of the key that was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMemory:
    """A memory that another service, or this one, has known."""

    line: int
    """Where its source has it, counted from 1: a line, or an item of a list."""
    memory: str
    """Its text."""
    scope: Scope
    id: str | None = None
    """A UUID. Without one it gets one that is made of what it says, see `identity`, so that the
    same file twice gives the same."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: str | None = None
    updated_at: str | None = None
    expiration_date: str | None = None
    role: str | None = None
    actor_id: str | None = None
    attributed_to: str | None = None
    """`user` or `assistant`: mem0's word for who said it."""
    place: int | None = None
    """In the order of writing, see app.storage.payloads.PLACE."""
    history: Sequence[ImportedEvent] = ()
    """Oldest first; without any it gets an ADD."""
    vector: Vector | None = None
    embedder: EmbedderInfo | None = None
    """Who made the vector; without one it is not used."""


class ImportedMessage(NamedTuple):
    role: str
    """`user`, `assistant` or `system`."""
    content: str
    name: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedConversation:
    """What was said, for an LLM to find memories in, or to be stored message by message."""

    line: int
    """As that of ImportedMemory."""
    messages: Sequence[ImportedMessage]
    scope: Scope
    id: str | None = None
    """As its source knows it: any text."""
    title: str | None = None
    timestamp: str | None = None
    """When it was held, for messages that have no time of their own."""


class Refused(NamedTuple):
    """What a source has there cannot be read."""

    line: int
    reason: str
    """For the user. Without any text of the source."""


Record = ImportedMemory | ImportedConversation
Item = Record | Refused

Reader = Callable[[BinaryIO], Iterator[Item]]
"""Reads a stream, which can be sought in where it is a file, in bounded memory as far as its format
allows. Raises NotThisFormat where nothing of it can be read."""


class NotThisFormat(Exception):
    """The text says what is wrong with the whole source, for the user."""
