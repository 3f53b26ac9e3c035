"""The types of the fields of requests: texts, ids, dates, metadata, filters."""

import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from app.memory.moments import moment, since_1970
from app.security.keys import MAX_DAYS
from app.security.scopes import MAX_ID, UNSEEN, scope_id
from app.storage.payloads import RESERVED_KEYS, instant, written_down
from app.storage.vectors.filters import Filter, check_keys, compile_filters
from app.storage.vectors.paging import Cursor

MAX_TEXT = 100_000
MAX_METADATA_BYTES = 64_000
MAX_METADATA_DEPTH = 10

CLOCKS_DIFFER = timedelta(seconds=60)
MAX_EXACT = 2**53 - 1  # JavaScript's numbers are exact up to here

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_VISIBLE = re.compile(f"[^{UNSEEN}]")


def is_blank(value: str) -> bool:
    return not _VISIBLE.search(value)


def _text(value: str) -> str:
    if is_blank(value):
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


def _time(value: Any) -> datetime:
    """The time `value` of RFC 3339, in UTC."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time of RFC 3339, such as 2026-11-24T00:00:00Z")
    try:
        return instant(value)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999 in UTC") from None


def _timestamp(value: Any) -> str:
    """The time when something was said, in the form of payloads."""
    try:
        if isinstance(value, str):
            said_at = moment(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            said_at = since_1970(value)
        else:
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            "must be a time of ISO 8601, such as 2026-11-24T00:00:00Z, or seconds since 1970"
        ) from None
    if said_at > datetime.now(UTC) + CLOCKS_DIFFER:
        raise ValueError("must not be in the future")
    return written_down(said_at)


def _scope_id(value: Any) -> Any:
    """A whole number as a text, because it may be an id, too. Larger ones than MAX_EXACT are
    refused: some clients round them."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return value
    if abs(value) > MAX_EXACT:
        raise ValueError(f'is too large to be given as a number: send it as a text, "{value}"')
    return str(int(value))


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if own := sorted(RESERVED_KEYS & value.keys()):
        raise ValueError(f"must not use the key {own[0]!r}: it is the memory's own")
    _check_json(value, MAX_METADATA_DEPTH)
    check_keys(value)
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise ValueError(f"must not be larger than {MAX_METADATA_BYTES} bytes of JSON")
    return value


def _check_json(value: Any, depth: int) -> None:
    """Raises ValueError for values, at any depth, that a store could not keep as they are."""
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


def _filters_with_ids(value: dict[str, Any]) -> Filter:
    _check_json(value, 2 * MAX_METADATA_DEPTH)
    return compile_filters(value, with_ids=True)


def decoded_cursor(value: Any) -> Cursor:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return Cursor.decode(value)


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


def _integer(value: Any) -> Any:
    """`value`, as an integer where it is a whole number: in JSON 10.0 and 10 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _threshold(value: Any) -> Any:
    of_numbers = isinstance(value, int | float) and not isinstance(value, bool)
    if value != "auto" and not (of_numbers and 0 <= value <= 1):
        raise ValueError("must be a number from 0 to 1, or 'auto'")
    return value


T = TypeVar("T")

Omittable = Annotated[T | None, BeforeValidator(_not_null)]
"""A field that may be left out but must not be null. A template that leaves `user_id` null would
otherwise turn one user's search into a search of everybody's memories."""

ScopeId = Annotated[
    str, Field(max_length=MAX_ID), AfterValidator(scope_id), BeforeValidator(_scope_id)
]
Timestamp = Annotated[str, BeforeValidator(_timestamp)]
MemoryText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_text)]
MemoryId = Annotated[str, Field(max_length=64), AfterValidator(_memory_id)]
Date = Annotated[str, AfterValidator(_date)]
Time = Annotated[datetime, BeforeValidator(_time)]
KeyId = Annotated[str, Field(pattern="^([0-9a-f]{8}|admin)$")]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
Filters = Annotated[dict[str, Any], AfterValidator(_filters)]
FiltersWithIds = Annotated[dict[str, Any], AfterValidator(_filters_with_ids)]
Name = Annotated[str, Field(max_length=MAX_ID), AfterValidator(_text)]
Threshold = Annotated[float | Literal["auto"], PlainValidator(_threshold)]
"""Validated as a whole: pydantic would name each member of a union as a field of its own."""
Days = Annotated[int, Field(ge=1, le=MAX_DAYS), BeforeValidator(_integer)]
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_integer)]
