"""What each operation takes: one strict pydantic model for each, whoever asks and however.

openapi.yaml says the same to callers; the contract's test holds the two together.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from app.errors import FieldError, InvalidRequest
from app.memory.fields import (
    Date,
    Filters,
    KeyId,
    Limit,
    MemoryId,
    MemoryText,
    Metadata,
    Omittable,
    ScopeId,
    Threshold,
    Time,
    Timestamp,
    decoded_cursor,
)
from app.memory.messages import Message
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, Scope

MAX_ADDS = 1000  # of a batch
MAX_MESSAGES = 256  # with their vectors well below the 32 MB that Qdrant takes at once


class Request(BaseModel):
    """Nothing is converted, and a field that is not known is refused: a typo in `user_id`
    must never widen a search to everybody."""

    model_config = ConfigDict(extra="forbid", strict=True)

    means_something_as_null: ClassVar[Collection[str]] = ()
    """Fields of which a null is not the same as to leave them out."""

    _sent: dict[str, Any] = PrivateAttr()
    """The body that this was read from, with the scope of the caller's key."""

    @model_validator(mode="before")
    @classmethod
    def _leave_nulls_out(cls, given: Any) -> Any:
        """Clients that are made from the contract send one for every field that is not set."""
        if not isinstance(given, dict):
            return given
        names = {*cls.model_fields, "top_k"} - {*SCOPE_KEYS, *cls.means_something_as_null}
        return {k: v for k, v in given.items() if v is not None or k not in names}

    def fingerprint(self) -> str:
        """SHA-256 of what was sent, as JSON with sorted keys.

        Not of this model: with its defaults the next field of it would make every body another
        one. The scope of the caller's key is in it: a body says the same whether it names its
        user or the key does.
        """
        return _sha256(self._sent)

    def to_json(self) -> str:
        """What was sent, for `validated` to read again."""
        return json.dumps(self._sent)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


WHOLE = "body"
"""The field that is named where no single one is wrong."""

R = TypeVar("R", bound=Request)


class Scoped(Request):
    user_id: Omittable[ScopeId] = None
    agent_id: Omittable[ScopeId] = None
    app_id: Omittable[ScopeId] = None
    run_id: Omittable[ScopeId] = None

    def scope(self) -> Scope:
        return {key: value for key in SCOPE_KEYS if (value := getattr(self, key))}


class InScope(Scoped):
    """At least one of the scope ids is needed."""

    @model_validator(mode="after")
    def _some_scope(self) -> Self:
        if not self.scope():
            raise ValueError(f"give at least one of {', '.join(SCOPE_KEYS)}")
        return self


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


class Chosen(Scoped):
    """Some of a scope's memories. `since` (inclusive) and `until` (exclusive) bound `created_at`,
    and with `written_by`, the id of a key, the time when it added or changed them."""

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
    """When it was said, where that was not now; in UTC, as a payload has it."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.messages is None):
            raise ValueError("give either data or messages")
        if all(message["role"] == "system" for message in self.said()):
            raise ValueError("give at least one message with words of a user or an assistant")
        return self

    def fingerprint_by_0_1(self) -> str:
        """What version 0.1 kept in place of `fingerprint`: a repeat may come after an upgrade."""
        content = {"data", "messages", "metadata", "infer", "expiration_date"}
        known = content | {"user_id", "agent_id", "run_id"}
        given = self.model_dump().items()
        return _sha256({name: v for name, v in given if name in known or v is not None})

    def said(self) -> list[dict[str, str]]:
        if self.data is not None:
            return [{"role": "user", "content": self.data}]
        return [message.as_said() for message in self.messages or () if message.is_said]


class BatchRequest(Request):
    adds: Annotated[list[Any], Field(min_length=1, max_length=MAX_ADDS)]
    """Each is read by itself, as an AddRequest."""


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
        """The payload keys to change; an expiration_date given as null takes it away."""
        changes = dict(self.metadata or {})
        if "expiration_date" in self.model_fields_set:
            changes["expiration_date"] = self.expiration_date
        return changes


class HistoryRequest(Request):
    memory_id: MemoryId


class DeleteRequest(Request):
    memory_id: MemoryId


class DeleteAllRequest(Chosen):
    means_something_as_null = ("written_by", "since", "until")  # would delete more

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


def validated(model: type[R], given: Any, principal: Principal) -> R:
    """`given`, parsed JSON, as `model`. InvalidRequest names each wrong field.

    The caller's own scope is put on it; Forbidden where it names another.
    """
    if issubclass(model, Scoped) and principal.scope and isinstance(given, dict):
        given = {**principal.scope, **given}
    try:
        asked = model.model_validate(given)
    except ValidationError as error:
        errors = [FieldError(_field(wrong), _message(wrong)) for wrong in error.errors()]
        raise InvalidRequest("The request has wrong fields.", errors) from None
    if isinstance(asked, Scoped):
        principal.narrowed(asked.scope())
    asked._sent = given  # set here alone
    return asked


def at_place(place: str, error: InvalidRequest) -> InvalidRequest:
    """What is wrong with a part of a request, which stands at `place` in it."""
    errors = [
        FieldError(place if field == WHOLE else f"{place}.{field}", message)
        for field, message in error.errors
    ]
    return InvalidRequest(error.detail, errors)


def _field(wrong: ErrorDetails) -> str:
    return ".".join(str(part) for part in wrong["loc"]) or WHOLE


def _message(wrong: ErrorDetails) -> str:
    if wrong["type"] == "extra_forbidden":
        return "there is no such field"
    return wrong["msg"].removeprefix("Value error, ")
