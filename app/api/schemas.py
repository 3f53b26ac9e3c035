"""What each route takes: strict JSON into one pydantic model per request.

openapi.yaml says the same to callers; `tests/api/test_contract.py` holds the two together.
"""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeVar

from flask import request
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.api import auth
from app.errors import FieldError, Forbidden, InvalidRequest
from app.memory.filters import Filter, check_keys, compile_filters
from app.memory.payloads import RESERVED_KEYS
from app.memory.repeats import Repeat
from app.memory.stores.paging import Cursor
from app.scopes import MAX_ID, SCOPE_KEYS, UNSEEN, Scope, scope_id

MAX_TEXT = 100_000
MAX_MESSAGES = 256  # with their vectors well below the 32 MB that Qdrant takes at once
MAX_METADATA_BYTES = 64_000
MAX_METADATA_DEPTH = 10

_KEY = re.compile("[!-~]{1,255}")
_VISIBLE = re.compile(f"[^{UNSEEN}]")


def _text(value: str) -> str:
    if not _VISIBLE.search(value):
        raise ValueError("must not be blank")
    return value


def _memory_id(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _date(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a date as YYYY-MM-DD")
    return date.fromisoformat(value).isoformat()


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if own := sorted(RESERVED_KEYS & value.keys()):
        raise ValueError(f"must not use the key {own[0]!r}: it is the memory's own")
    _check_json(value, MAX_METADATA_DEPTH)
    check_keys(value)
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise ValueError(f"must not be larger than {MAX_METADATA_BYTES} bytes of JSON")
    return value


def _check_json(value: Any, depth: int) -> None:
    """Refuse what a store would change or choke on, deep inside too."""
    if depth < 0:
        raise ValueError(f"must not nest more than {MAX_METADATA_DEPTH} levels deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_json(key, depth)
            _check_json(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_json(inner, depth - 1)
    elif isinstance(value, str):
        _no_surrogates(value)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("must not hold an integer of more than 64 bits")


def _no_surrogates(value: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not hold half of a surrogate pair")


def _filters(value: dict[str, Any]) -> Filter:
    _check_json(value, 2 * MAX_METADATA_DEPTH)
    return compile_filters(value)


def _cursor(value: Any) -> Cursor:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return Cursor.decode(value)


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


def _integer(value: Any) -> Any:
    """JSON knows one kind of number: 10.0 is an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


T = TypeVar("T")

Omittable = Annotated[T | None, BeforeValidator(_not_null)]
"""A field that may be left out but not null: a `user_id` that a template left empty would
turn one user's search into a search of everybody."""

ScopeId = Annotated[str, Field(max_length=MAX_ID), AfterValidator(scope_id)]
MemoryText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_text)]
MemoryId = Annotated[str, Field(max_length=64), AfterValidator(_memory_id)]
Date = Annotated[str, AfterValidator(_date)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
Filters = Annotated[dict[str, Any], AfterValidator(_filters)]
Name = Annotated[str, Field(max_length=MAX_ID), AfterValidator(_text)]
Share = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_integer)]


class Request(BaseModel):
    """Nothing is converted, and a field that is not known is refused: a typo in `user_id`
    must never widen a search to everybody."""

    model_config = ConfigDict(extra="forbid", strict=True)


R = TypeVar("R", bound=Request)


class Scoped(Request):
    user_id: Omittable[ScopeId] = None
    agent_id: Omittable[ScopeId] = None
    run_id: Omittable[ScopeId] = None

    def scope(self) -> Scope:
        return {key: value for key in SCOPE_KEYS if (value := getattr(self, key))}


class InScope(Scoped):
    """At least one of the scope ids is needed."""

    @model_validator(mode="after")
    def _some_scope(self) -> Self:
        if not self.scope():
            raise ValueError("give at least one of user_id, agent_id, run_id")
        return self


class Message(Request):
    role: Literal["user", "assistant", "system"]
    content: MemoryText
    name: Omittable[Name] = None


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


class AddRequest(InScope):
    data: Omittable[MemoryText] = None
    messages: Omittable[Messages] = None
    metadata: Omittable[Metadata] = None
    infer: Omittable[bool] = None
    expiration_date: Omittable[Date] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.messages is None):
            raise ValueError("give either data or messages")
        if self.messages and all(message.role == "system" for message in self.messages):
            raise ValueError("give at least one message that is not of the system")
        return self

    def said(self) -> list[dict[str, str]]:
        if self.data is not None:
            return [{"role": "user", "content": self.data}]
        return [message.model_dump(exclude_none=True) for message in self.messages or ()]


class Listed(Scoped):
    filters: Omittable[Filters] = None
    show_expired: bool = False


class GetAllRequest(Listed):
    limit: Omittable[Limit] = None
    cursor: Annotated[Any, BeforeValidator(_cursor)] = None


class SearchRequest(Listed):
    query: MemoryText
    limit: Limit = Field(10, validation_alias=AliasChoices("limit", "top_k"))
    threshold: Omittable[Share] = None
    explain: bool = False


class GetRequest(Request):
    memory_id: MemoryId
    show_expired: bool = False


class UpdateRequest(Request):
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


class DeleteAllRequest(InScope):
    purge: bool = False


class ResetRequest(Request):
    pass


def parse(model: type[R]) -> R:
    """The body of the current request as `model`; InvalidRequest names each wrong field.

    The scope of the caller's key is put on it; Forbidden where the body names another.
    """
    body = _body()
    bound = auth.scope() if issubclass(model, Scoped) else {}
    if bound and isinstance(body, dict):
        body = {**bound, **body}
    try:
        asked = model.model_validate(body)
    except ValidationError as error:
        errors = [FieldError(_field(wrong), _message(wrong)) for wrong in error.errors()]
        raise InvalidRequest("The request has wrong fields.", errors) from None
    for key, value in bound.items():
        if getattr(asked, key) != value:
            raise Forbidden(f"This key is bound to another {key}; leave it out.")
    return asked


def repeat(asked: Request) -> Repeat | None:
    """What the Idempotency-Key of the current request makes of it; None without one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        error = FieldError("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        raise InvalidRequest("The request has a wrong header.", [error])
    body = json.dumps(asked.model_dump(), sort_keys=True)
    return Repeat(auth.caller_id(), key, hashlib.sha256(body.encode()).hexdigest())


def _body() -> Any:
    raw = request.get_data(cache=False)
    if request.content_length is None and len(raw) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge  # werkzeug cuts a chunked body there and says nothing
    if not raw.strip():
        return {}  # for routes that need nothing; the others name what is missing
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        return _STRICT.decode(raw.decode())
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are such
        message = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InvalidRequest(f"The body is not JSON: {message}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            error = FieldError(key, "is given twice")
            raise InvalidRequest("The body has an object with the same key twice.", [error])
        result[key] = value
    return result


def _constant(name: str) -> Any:
    raise InvalidRequest(f"The body holds {name}, which is not JSON.")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise InvalidRequest("The body holds a number that is too large.")
    return value


# Made once: json.loads would make one for each body.
_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def _field(wrong: ErrorDetails) -> str:
    return ".".join(str(part) for part in wrong["loc"]) or "body"


def _message(wrong: ErrorDetails) -> str:
    if wrong["type"] == "extra_forbidden":
        return "there is no such field"
    return wrong["msg"].removeprefix("Value error, ")
