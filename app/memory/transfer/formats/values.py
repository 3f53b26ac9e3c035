"""Times, ids and metadata as others write them, in this service's form.

A function that takes a `field` raises Unreadable, whose text names it.
"""

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.memory.fields import MAX_METADATA_DEPTH
from app.security.scopes import SCOPE_KEYS, Scope, scope_id
from app.storage.payloads import RESERVED_KEYS, instant, written_down

PREFIX = "source_"
"""Of metadata under a name that is the memory's own."""

_NAMELESS = uuid.UUID("0b6f6d3a-3c54-5e0c-8a41-6c1f0f1d8f0e")
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_UNNAMEABLE = re.compile(r'[."\\]')
_TAKEN = RESERVED_KEYS | {"AND", "OR", "NOT"}  # in filters these join conditions


class Unreadable(Exception):
    """This one item cannot be read; the text says why, and holds nothing of the source."""


def time_of(value: Any, field: str) -> str | None:
    """In UTC, as a payload has it; None where there is none. ISO 8601, in UTC where it names no
    zone, or a number since 1970: of seconds, or by its size of milli- or microseconds."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            return written_down(instant(value.strip().removesuffix(" UTC")))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return written_down(datetime.fromtimestamp(_seconds(float(value)), UTC))
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"{field} is not a time") from None


def _seconds(number: float) -> float:
    # Each is read as the largest unit that leads to a year before 5138.
    if not math.isfinite(number):
        raise ValueError
    while abs(number) > 1e11:
        number /= 1000
    return number


def date_of(value: Any, field: str) -> str | None:
    """`YYYY-MM-DD`; of a time its date in UTC."""
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
    """As its source has it."""
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
    """With other names for keys that are a memory's own (PREFIX before them) or that no filter
    could name (`_` for each dot, quote and backslash); so also of the objects inside."""
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
    """None also for what is no time, where what was said is worth more than when."""
    try:
        return time_of(value, "time")
    except Unreadable:
        return None


def run_id_of(conversation_id: Any, *otherwise: Any) -> str:
    """The run_id of a conversation: its own id, or a UUID made of it where it may not be one, or
    one made of what else is known of it."""
    if not isinstance(conversation_id, str) or not conversation_id:
        return str(uuid.uuid5(_NAMELESS, ascii(otherwise)))
    try:
        return scope_id(conversation_id)
    except ValueError:
        return str(uuid.uuid5(_NAMELESS, ascii(conversation_id)))
