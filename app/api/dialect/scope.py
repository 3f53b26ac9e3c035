"""The scope of a request of mem0's clients: its ids are fields of the body, or in its filters."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import FieldError, InvalidRequest
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, Scope, scope_id

Filters = dict[str, Any]
"""Filters in the service's own language; here they may have ids of a scope, too."""

LOGIC = ("AND", "OR", "NOT")


def beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """The ids among the fields of a body or a query that are not null."""
    return {key: given[key] for key in SCOPE_KEYS if given.get(key) is not None}


def lifted(filters: Filters) -> tuple[Scope, Filters]:
    """The ids that `filters` ask of every memory, as a scope, and the rest of the filters.

    `filters` must be well formed. The store searches fastest by a scope, and a scope is checked
    against the caller's key. Where two different ids of one kind are asked for, the second stays in
    the filters, and no memory passes.
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
    """Raises InvalidRequest where neither the request nor the caller's key names an id: a client
    that asks for everybody's memories does so by mistake."""
    if not (scope or principal.scope or any(_named(rest))):
        error = FieldError("filters", f"give at least one of {', '.join(SCOPE_KEYS)}")
        raise InvalidRequest("The request does not say whose memories.", [error])


def _named(part: Any) -> Iterator[str]:
    """The keys of ids that a filter names, at any depth."""
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
    """`condition`, which a filter has for an id, with each id as it is stored. `*` means any id.
    Raises ValueError for a text that may be no id."""
    if isinstance(condition, dict):
        return {operator: _canonical(value) for operator, value in condition.items()}
    return _canonical(condition)


def _canonical(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ValueError("an id must be a text")
    ids = [one if one == "*" else scope_id(one) for one in values]
    return ids if isinstance(value, list) else ids[0]
