"""Converts times, ids and metadata of other services into this service's form.

A function with an argument `field` raises Unreadable, whose text names the field.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.memory.fields import MAX_METADATA_DEPTH
from app.memory.moments import moment, since_1970
from app.security.scopes import SCOPE_KEYS, Scope, scope_id
from app.storage.payloads import RESERVED_KEYS, written_down

PREFIX = "source_"
"""Put before a key of metadata that is reserved for memories."""

_NAMELESS = uuid.UUID("0b6f6d3a-3c54-5e0c-8a41-6c1f0f1d8f0e")
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_YEAR = re.compile(r"(19|20)\d\d", re.ASCII)
_UNNAMEABLE = re.compile(r'[."\\]')
_TAKEN = RESERVED_KEYS | {"AND", "OR", "NOT"}  # operators of filters


class Unreadable(Exception):
    """One item cannot be read. The text says why, without quoting the source."""


def time_of(value: Any, field: str) -> str | None:
    """The time `value`, in UTC and the form of payloads; None where it is empty. It may be a text
    that `moment` reads, a year, or a number since 1970: seconds, milliseconds, microseconds or
    nanoseconds, which are told apart by their size."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            return written_down(moment(value))
        if (year := _YEAR.fullmatch(str(value).strip())) and not isinstance(value, bool):
            return written_down(datetime(int(year[0]), 1, 1, tzinfo=UTC))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return written_down(since_1970(float(value)))
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"{field} is not a time") from None


def date_of(value: Any, field: str) -> str | None:
    """The date `value` as `YYYY-MM-DD`; of a time its date in UTC."""
    try:
        time = time_of(value, field)
    except Unreadable:
        raise Unreadable(f"{field} is not a date") from None
    return time and time[:10]


def text_of(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise Unreadable(f"{field} is not a text")


def id_of(value: Any) -> str | None:
    """The id `value` as a text. Raises Unreadable."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unreadable("id is neither a text nor a number")
    return str(value)


def scope_in(given: Mapping[str, Any]) -> Scope:
    scope: Scope = {}
    for key in SCOPE_KEYS:
        value = given.get(key)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Unreadable(f"{key} is neither a text nor a number")
        scope[key] = str(value)
    return scope


def metadata_of(value: Any) -> dict[str, Any]:
    """The metadata `value`, with some keys renamed, also in nested objects. A reserved key gets
    PREFIX. A dot, quote or backslash, which no filter could name, becomes `_`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Unreadable("metadata is not an object")
    return _renamed(value, _TAKEN, MAX_METADATA_DEPTH)


def _renamed(given: Mapping[str, Any], own: frozenset[str], depth: int) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, Mapping) and depth:
            value = _renamed(value, frozenset(), depth - 1)
        renamed[_free_name(str(key), own, given, renamed)] = value
    return renamed


def _free_name(
    key: str, own: frozenset[str], given: Mapping[str, Any], taken: Mapping[str, Any]
) -> str:
    name = _UNNAMEABLE.sub("_", key) or "_"
    if name in own:
        name = PREFIX + name
    while name in taken or (name != key and name in given):
        name += "_"
    return name


def time_or_none(value: Any) -> str | None:
    """Like `time_of`, but None for an invalid time: the text is worth more than its time."""
    try:
        return time_of(value, "time")
    except Unreadable:
        return None


def run_id_of(conversation_id: Any, *otherwise: Any) -> str:
    """The run_id of a conversation: its own id; a UUID made from that id where it is no valid
    run_id; or a UUID made from `otherwise` where it has no id."""
    if not isinstance(conversation_id, str) or not conversation_id:
        return str(uuid.uuid5(_NAMELESS, ascii(otherwise)))
    try:
        return scope_id(conversation_id)
    except ValueError:
        return str(uuid.uuid5(_NAMELESS, ascii(conversation_id)))
