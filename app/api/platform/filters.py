"""Translates the Platform's language of filters into the service's own.

A filter is `{"AND"|"OR": [..]}`, `{"NOT": [..] or {..}}`, or keys side by side, all of which must
hold. Unlike in the service's language, metadata is an object of its own, and ids of a scope are
keys.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.api.dialect.scope import LOGIC, Filters, canonical_ids
from app.security.scopes import SCOPE_KEYS
from app.storage.payloads import RESERVED_KEYS
from app.storage.vectors.filters import MAX_DEPTH

_BOUNDS = ("gt", "gte", "lt", "lte")

CAMEL_CASE = {
    "userId": "user_id",
    "agentId": "agent_id",
    "appId": "app_id",
    "runId": "run_id",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "expirationDate": "expiration_date",
    "memoryIds": "memory_ids",
}
"""The JavaScript client does not convert filters, so people write either spelling."""


def translated(filters: Any, depth: int = MAX_DEPTH) -> Filters:
    """`filters` in the service's language. Raises ValueError, which says what is wrong."""
    if not isinstance(filters, dict):
        raise ValueError("must be an object")
    if depth == 0:
        raise ValueError(f"filters nest at most {MAX_DEPTH} levels deep")
    return all_of([_part(key, value, depth) for key, value in filters.items()])


def all_of(parts: list[Filters]) -> Filters:
    """A filter that a memory passes where it passes each of `parts`."""
    keys = [key for part in parts for key in part]
    if len(keys) == len(set(keys)):
        return {key: value for part in parts for key, value in part.items()}
    return {"AND": parts}


def _part(key: str, value: Any, depth: int) -> Filters:
    key = CAMEL_CASE.get(key, key)
    if key in LOGIC:
        parts = [value] if key == "NOT" and isinstance(value, dict) else value
        if not isinstance(parts, list):
            raise ValueError(f"{key} takes a list of filters")
        return {key: [translated(part, depth - 1) for part in parts]}
    if key in SCOPE_KEYS:
        return {key: _with_operators(key, canonical_ids(value), ("eq", "in", "ne"))}
    if key not in _KEYS:
        raise ValueError(
            f"{key!r} is not a key of these filters, which are {', '.join((*SCOPE_KEYS, *_KEYS))}; "
            'metadata is an object of its own, {"metadata": {"key": "value"}}'
        )
    return _KEYS[key](value)


def _with_operators(key: str, value: Any, known: tuple[str, ...]) -> Any:
    if isinstance(value, dict) and (unknown := [name for name in value if name not in known]):
        raise ValueError(f"{key} has the unknown operator {unknown[0]!r}; {', '.join(known)}")
    return value


def _times(key: str, stored: str, value: Any) -> Filters:
    given = value if isinstance(value, dict) else {"eq": value}
    _with_operators(key, given, (*_BOUNDS, "eq", "in", "ne"))
    return all_of([_time(stored, operator, time) for operator, time in given.items()])


def _time(stored: str, operator: str, value: Any) -> Filters:
    if operator == "in":
        if not isinstance(value, list):
            raise ValueError(f"{stored} takes a list of times")
        return {"OR": [_time(stored, "eq", one) for one in value]}
    if operator == "ne":
        return {"NOT": [_time(stored, "eq", value)]}
    if operator == "eq":
        return {stored: {"gte": _instant(value), "lte": _instant(value)}}
    return {stored: {operator: _instant(value)}}


def _instant(value: Any) -> Any:
    """`value`, seconds since 1970 or a text, as the text of a time. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC).isoformat()
        except (OverflowError, ValueError, OSError):
            raise ValueError("must be a time that a calendar has") from None
    if not isinstance(value, str):
        raise ValueError("must be compared with an ISO 8601 time")
    return value


def _categories(value: Any) -> Filters:
    """Conditions on the metadata's `categories`, which callers set: the service makes none."""
    given = _with_operators("categories", value, ("in", "contains", "eq"))
    if isinstance(given, dict):
        return all_of([{"categories": one} for one in given.values()])
    return {"categories": given}


def _metadata(value: Any) -> Filters:
    if not isinstance(value, dict):
        raise ValueError("metadata takes an object")
    for key in value:
        if key in LOGIC or key.split(".")[0] in RESERVED_KEYS:
            raise ValueError(f"{key!r} is not a key of metadata")
    return value


def _keywords(value: Any) -> Filters:
    given = value if isinstance(value, dict) else {"contains": value}
    return {"data": _with_operators("keywords", given, ("contains", "icontains"))}


def _memory_ids(value: Any) -> Filters:
    if isinstance(value, Mapping):
        value = _with_operators("memory_ids", value, ("in",)).get("in")
    if not isinstance(value, list) or not value:
        raise ValueError("memory_ids takes a list of UUIDs")
    return {"id": value}


_KEYS: dict[str, Callable[[Any], Filters]] = {
    "created_at": partial(_times, "created_at", "created_at"),
    "updated_at": partial(_times, "updated_at", "updated_at"),
    "timestamp": partial(_times, "timestamp", "created_at"),
    "expiration_date": partial(_times, "expiration_date", "expiration_date"),
    "categories": _categories,
    "metadata": _metadata,
    "keywords": _keywords,
    "memory_ids": _memory_ids,
}
