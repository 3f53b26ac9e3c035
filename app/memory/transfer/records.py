"""The records that the readers of all formats produce.

Records have the values of their source; they are checked only when they are imported. A field
without a value is None or empty. Times are texts of ISO 8601, dates are `YYYY-MM-DD`.
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
    """The id of the API key that was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMemory:
    """A memory of another service, or of this one."""

    line: int
    """The number of the line or list item in the source, counted from 1."""
    memory: str
    """Its text."""
    scope: Scope
    id: str | None = None
    """The source's id, of which `finishing` makes a UUID. Without an id the import makes one from
    the content, so that importing a file twice stores its memories once."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: str | None = None
    updated_at: str | None = None
    expiration_date: str | None = None
    role: str | None = None
    actor_id: str | None = None
    attributed_to: str | None = None
    """`user` or `assistant`: who said it."""
    place: int | None = None
    """The place in the order of writing, see app.storage.payloads.PLACE."""
    history: Sequence[ImportedEvent] = ()
    """Oldest first; where it is empty, the import adds an ADD."""
    vector: Vector | None = None
    embedder: EmbedderInfo | None = None
    """The embedder of the vector, which is not used without this."""


class ImportedMessage(NamedTuple):
    role: str
    """`user`, `assistant` or `system`."""
    content: str
    name: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedConversation:
    """A conversation. An LLM finds memories in it, or each message is stored as one."""

    line: int
    """The number of the line or list item in the source, counted from 1."""
    messages: Sequence[ImportedMessage]
    scope: Scope
    id: str | None = None
    """The id in the source: any text."""
    title: str | None = None
    timestamp: str | None = None
    """When it took place, for messages without a time of their own."""


class Refused(NamedTuple):
    """An item of a source that cannot be read."""

    line: int
    reason: str
    """The reason for the user, without quoting the source."""


Record = ImportedMemory | ImportedConversation
Item = Record | Refused

Reader = Callable[[BinaryIO], Iterator[Item]]
"""Reads a stream, in bounded memory as far as the format allows. The stream can seek only where it
is a file. Raises NotThisFormat where nothing can be read."""


class NotThisFormat(Exception):
    """The whole source cannot be read; the text tells the user why."""
