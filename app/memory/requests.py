"""The requests of the operations: a strict pydantic model for each. HTTP, MCP, batches, jobs and
imports all use these models.

openapi.yaml describes the same to callers; tests/contract/test_openapi.py compares the two.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    model_validator,
)

from app.memory.fields import (
    Date,
    Filters,
    KeyId,
    Limit,
    MemoryId,
    MemoryText,
    Metadata,
    Omittable,
    Threshold,
    Time,
    Timestamp,
    decoded_cursor,
)
from app.memory.messages import Message
from app.memory.validation import InScope, Request, Scoped, sha256_of
from app.security.scopes import SCOPE_KEYS

MAX_ADDS = 1000  # of a batch
MAX_MESSAGES = 256  # so that a write stays far below the 32 MB that Qdrant takes at once


def _listed(given: Any) -> Any:
    if isinstance(given, str):
        raise ValueError(
            "must be a list, and not a text, nor JSON in a text; a text goes into data"
        )
    if isinstance(given, dict):
        raise ValueError("must be a list, also of one message: [{...}]")
    return given


Messages = Annotated[
    list[Message],
    Field(min_length=1, max_length=MAX_MESSAGES),
    BeforeValidator(_listed),
]


class Chosen(Scoped):
    """Chooses some of a scope's memories. `since` (inclusive) and `until` (exclusive) bound
    `created_at`. With `written_by`, the id of a key, they bound the time when that key added or
    changed the memories."""

    written_by: Omittable[KeyId] = None
    since: Omittable[Time] = None
    until: Omittable[Time] = None

    @property
    def is_all(self) -> bool:
        return (self.written_by, self.since, self.until) == (None, None, None)


class AddRequest(InScope):
    data: Omittable[MemoryText] = None
    messages: Omittable[Messages] = None
    metadata: Omittable[Metadata] = None
    infer: Omittable[bool] = None
    expiration_date: Omittable[Date] = None
    timestamp: Omittable[Timestamp] = None
    """When it was said, in UTC and the form of payloads; None means now."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.messages is None):
            raise ValueError("give either data or messages")
        if all(message["role"] == "system" for message in self.said()):
            raise ValueError("give at least one message with words of a user or an assistant")
        return self

    def fingerprint_by_0_1(self) -> str:
        """The fingerprint that version 0.1 stored: a repeat may come after an upgrade."""
        content = {"data", "messages", "metadata", "infer", "expiration_date"}
        known = content | {"user_id", "agent_id", "run_id"}
        given = self.model_dump().items()
        return sha256_of({name: v for name, v in given if name in known or v is not None})

    def said(self) -> list[dict[str, str]]:
        if self.data is not None:
            return [{"role": "user", "content": self.data}]
        return [message.as_said() for message in self.messages or () if message.is_said]


class BatchRequest(Request):
    adds: Annotated[list[Any], Field(min_length=1, max_length=MAX_ADDS)]
    """Each is validated as an AddRequest by itself."""


class Listed(Scoped):
    filters: Omittable[Filters] = None
    show_expired: bool = False


class GetAllRequest(Listed, Chosen):
    limit: Omittable[Limit] = None
    cursor: Annotated[Any, BeforeValidator(decoded_cursor)] = None


class SearchRequest(Listed):
    query: MemoryText
    limit: Limit = Field(10, validation_alias=AliasChoices("limit", "top_k"))
    threshold: Omittable[Threshold] = None
    explain: bool = False
    since: Omittable[Time] = None
    until: Omittable[Time] = None


class GetRequest(Request):
    memory_id: MemoryId
    show_expired: bool = False


class UpdateRequest(Request):
    means_something_as_null = ("expiration_date",)

    memory_id: MemoryId
    data: Omittable[MemoryText] = None
    metadata: Omittable[Metadata] = None
    expiration_date: Date | None = None

    @model_validator(mode="after")
    def _some_change(self) -> Self:
        if self.model_fields_set <= {"memory_id"}:
            raise ValueError("give at least one of data, metadata, expiration_date")
        return self

    def changes(self) -> Mapping[str, Any]:
        """The keys of the payload to change; an expiration_date of None removes the date."""
        changes = dict(self.metadata or {})
        if "expiration_date" in self.model_fields_set:
            changes["expiration_date"] = self.expiration_date
        return changes


class HistoryRequest(Request):
    memory_id: MemoryId


class DeleteRequest(Request):
    memory_id: MemoryId


class DeleteAllRequest(Chosen):
    # If a null were left out, more would be deleted.
    means_something_as_null = ("written_by", "since", "until")

    purge: bool = False

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if not self.scope() and self.written_by is None:
            raise ValueError(f"give at least one of {', '.join(SCOPE_KEYS)}, or written_by")
        if self.purge and not self.is_all:
            raise ValueError("purge is of a whole scope: leave out written_by, since and until")
        return self


class ResetRequest(Request):
    pass
