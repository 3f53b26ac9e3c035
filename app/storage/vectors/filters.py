"""Filters: compiles mem0's operators on metadata into Qdrant's JSON filters.

A `Filter` is a filter of Qdrant's REST API as plain dicts, `{"must": [...], "should": [...],
"must_not": [...]}`. Both stores translate this form into their own.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.payloads import instant, today

Filter = dict[str, Any]

MAX_CONDITIONS = 1000  # in a whole filter
MAX_PARTS = 50  # in one object, or in one AND, OR, NOT
MAX_VALUES = 100  # in one `in` or `nin`
MAX_DEPTH = 10
MAX_KEY = 256  # characters
MAX_SHOWN = 60  # characters of a refused key that the error shows
_LOGIC = {"AND": "must", "OR": "should", "NOT": "must_not"}
_BARE_SEGMENT = re.compile(r"[\w-]+")
_INT64 = range(-(2**63), 2**63)
_EXACT = 2**53  # up to which a double holds every integer


def compile_filters(filters: Mapping[str, Any], *, with_ids: bool = False) -> Filter:
    """The Qdrant filter for mem0's filter language.

    `{"key": value}` or `{"key": {operator: value, ...}}`, all of which must hold, combined
    by `AND`, `OR` and `NOT`, each a list of such objects. A key may lead into objects
    (`address.city`). Raises ValueError, saying what is wrong.

    Ids of a scope are refused anywhere in it: a misplaced one would be searched in the metadata.
    `with_ids` allows them, and also `id` with ids of memories, for APIs that have no other place
    for them. Such a filter can only narrow what `in_scope` allows.
    """
    return _Compiler(with_ids).compile(filters, MAX_DEPTH)


class _Compiler:
    """Compiles one filter, and counts its conditions."""

    def __init__(self, with_ids: bool) -> None:
        self._with_ids = with_ids
        self._left = MAX_CONDITIONS

    def compile(self, filters: Any, depth: int) -> Filter:
        if not isinstance(filters, Mapping):
            raise ValueError("each filter must be an object")
        if depth == 0:
            raise ValueError(f"filters nest at most {MAX_DEPTH} levels deep")
        if len(filters) > MAX_PARTS:
            raise ValueError(f"a filter holds at most {MAX_PARTS} keys")
        result: Filter = {"must": []}
        for key, value in filters.items():
            if key in _LOGIC:
                if not isinstance(value, list) or not 0 < len(value) <= MAX_PARTS:
                    raise ValueError(f"{key} takes a list of 1 to {MAX_PARTS} filters")
                parts = [self.compile(part, depth - 1) for part in value]
                result["must"].append({_LOGIC[key]: parts})
            else:
                result["must"] += self._conditions(key, value)
        return result

    def _conditions(self, key: str, value: Any) -> list[Filter]:
        if key.split(".")[0] in SCOPE_KEYS and not self._with_ids:
            raise ValueError(f"{key} is not a filter: give it beside filters")
        operators = (
            value
            if isinstance(value, Mapping)
            else {"in" if isinstance(value, list) else "eq": value}
        )
        if not operators:
            raise ValueError(f"{key} has no operator")
        self._left -= len(operators)
        if self._left < 0:
            raise ValueError(f"filters hold at most {MAX_CONDITIONS} conditions")
        if key == "id" and self._with_ids:
            return [_has_id(value)]
        path = _path(key)
        for name in operators:
            if name not in _OPERATORS:
                raise ValueError(f"{key} has the unknown operator {name!r}")
        return [_OPERATORS[name](path, key, value) for name, value in operators.items()]


def _has_id(values: Any) -> Filter:
    try:
        return {"has_id": [str(uuid.UUID(value)) for value in values]}
    except (AttributeError, TypeError, ValueError):
        raise ValueError("the ids of memories are a list of UUIDs") from None


def check_keys(metadata: Mapping[str, Any], within: str = "") -> None:
    """Raises ValueError for a key, at any depth, that no filter could name.

    `within` is the path to `metadata`, with a dot at its end.
    """
    for key, value in metadata.items():
        path = within + key
        if path in _LOGIC:
            raise ValueError(f"must not use the key {key!r}: in filters it joins conditions")
        if "." in key or not _is_path(path):
            shown = path if len(path) <= MAX_SHOWN else f"{path[:MAX_SHOWN]}..."
            raise ValueError(f"must not use the key {shown!r}: no filter could name it")
        if isinstance(value, Mapping):
            check_keys(value, f"{path}.")


def _is_path(key: str) -> bool:
    return len(key) <= MAX_KEY and all(key.split(".")) and '"' not in key and "\\" not in key


def _path(key: str) -> str:
    """`key` as Qdrant's JSON path: segments with other than word characters are quoted."""
    segments = key.split(".")
    if not _is_path(key):
        raise ValueError(f"{key!r} is not a key that can be filtered by")
    return ".".join(
        segment if _BARE_SEGMENT.fullmatch(segment) else f'"{segment}"' for segment in segments
    )


def _eq(path: str, key: str, value: Any) -> Filter:
    if value == "*":
        return _exists(path)
    if value is None:
        return {"is_null": {"key": path}}
    if isinstance(value, float):
        return {"key": path, "range": {"gte": value, "lte": value}}
    if isinstance(value, str | bool):
        return {"key": path, "match": {"value": value}}
    if isinstance(value, int) and value in _INT64:
        same = {"key": path, "match": {"value": value}}
        if abs(value) > _EXACT:
            return same
        # In JSON 5 and 5.0 are the same number, but the engine distinguishes them.
        return {"should": [same, {"key": path, "range": {"gte": value, "lte": value}}]}
    raise ValueError(f"{key} must be compared with a text, a number, a boolean or null")


def _exists(path: str) -> Filter:
    return {"must_not": [{"is_empty": {"key": path}}]}


def _in(path: str, key: str, values: Any) -> Filter:
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise ValueError(f"{key} takes a list of 1 to {MAX_VALUES} values")
    texts = [value for value in values if isinstance(value, str) and value != "*"]
    if len(texts) < 2:
        return {"should": [_eq(path, key, value) for value in values]}
    # One condition for all texts: without an index the engine reads a memory for each condition.
    others = [_eq(path, key, value) for value in values if value not in texts]
    return {"should": [{"key": path, "match": {"any": texts}}, *others]}


def _not(condition: Filter, path: str) -> Filter:
    """A filter for memories that have the key, but with another value."""
    return {"must_not": [condition, {"is_empty": {"key": path}}]}


def _text(kind: str, path: str, key: str, value: Any) -> Filter:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be compared with a text")
    return {"key": path, "match": {kind: value}}


def _range(bound: str, path: str, key: str, value: Any) -> Filter:
    if isinstance(value, str):
        return {"key": path, "range": {bound: _instant(key, value)}}
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308:
        return {"key": path, "range": {bound: float(value)}}
    raise ValueError(f"{key} must be compared with a number or an ISO 8601 time")


def _instant(key: str, value: str) -> str:
    try:
        return instant(value).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(f"{key} must be compared with a number or an ISO 8601 time") from None


_OPERATORS: dict[str, Callable[[str, str, Any], Filter]] = {
    "eq": _eq,
    "ne": lambda path, key, value: _not(_eq(path, key, value), path),
    "in": _in,
    "nin": lambda path, key, values: _not(_in(path, key, values), path),
    "contains": partial(_text, "substring"),
    "icontains": partial(_text, "text"),
    **{bound: partial(_range, bound) for bound in ("gt", "gte", "lt", "lte")},
}


def in_scope(scope: Scope, *, show_expired: bool = False, extra: Filter | None = None) -> Filter:
    """A filter for the memories of a scope that pass `extra`, by default without expired ones."""
    result: Filter = {"must": _of(scope)}
    if extra:
        result["must"].append(extra)
    if not show_expired:
        result["must_not"] = [{"key": "expiration_date", "range": {"lt": today()}}]
    return result


def is_empty(where: Filter | None) -> bool:
    """Whether every memory passes the filter."""
    return not any((where or {}).values())


def created_between(since: datetime | None, until: datetime | None) -> list[Filter]:
    """Conditions on `created_at`: `since` is inclusive, `until` exclusive."""
    bounds = {"gte": since, "lt": until}
    return [
        {"key": "created_at", "range": {bound: time.isoformat()}}
        for bound, time in bounds.items()
        if time
    ]


def corpus_of(scope: Scope) -> Filter | None:
    """A filter for the memories among which document frequencies are counted in a search in
    `scope`: all of the scope, whatever else the search asks for. None means all memories."""
    return {"must": _of(scope)} if scope else None


def _of(scope: Scope) -> list[Filter]:
    return [{"key": key, "match": {"value": value}} for key, value in scope.items()]
