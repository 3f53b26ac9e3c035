"""Whose memories a request of mem0's clients means: ids beside its fields, or in its filters."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import FieldError, InvalidRequest
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, Scope, scope_id

Filters = dict[str, Any]
"""In the service's own language of filters, which may name the ids of a scope."""

LOGIC = ("AND", "OR", "NOT")


def beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """The ids among the fields of a body or a query; null is none."""
    return {key: given[key] for key in SCOPE_KEYS if given.get(key) is not None}


def lifted(filters: Filters) -> tuple[Scope, Filters]:
    """The ids that every memory must have that passes `filters`, which are well formed, and what
    else they ask.

    As a scope they are what the store is good at, and a key that is bound to another says so. A
    second id of one kind stays a filter, which nothing passes then.
    """
    scope: Scope = {}
    return scope, _lift(filters, scope)


def _lift(part: Filters, scope: Scope) -> Filters:
    rest: Filters = {}
    for key, value in part.items():
        if key in SCOPE_KEYS and isinstance(value, str) and value != "*":
            if scope.setdefault(key, value) != value:
                rest[key] = value
        elif key == "AND":
            if kept := [one for inner in value if (one := _lift(inner, scope))]:
                rest[key] = kept
        else:
            rest[key] = value
    return rest


def must_name_somebody(principal: Principal, scope: Mapping[str, Any], rest: Filters) -> None:
    """Raises InvalidRequest where neither the request nor the caller's key names an id: such a
    request means everybody's memories only by mistake."""
    if not (scope or principal.scope or any(_named(rest))):
        error = FieldError("filters", f"give at least one of {', '.join(SCOPE_KEYS)}")
        raise InvalidRequest("The request does not say whose memories.", [error])


def _named(part: Any) -> Iterator[str]:
    """The ids of a scope that filters name, at any depth."""
    if isinstance(part, list):
        for inner in part:
            yield from _named(inner)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in SCOPE_KEYS:
                yield key
            elif key in LOGIC:
                yield from _named(value)


def canonical_ids(condition: Any) -> Any:
    """What a filter says of an id of a scope, with each id as it is stored; `*` is any. Raises
    ValueError for what no id may be."""
    if isinstance(condition, dict):
        return {operator: _canonical(value) for operator, value in condition.items()}
    return _canonical(condition)


def _canonical(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ValueError("an id must be a text")
    ids = [one if one == "*" else scope_id(one) for one in values]
    return ids if isinstance(value, list) else ids[0]
