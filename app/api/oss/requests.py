"""Turns bodies and queries of the open-source server's API into requests of the service."""

from collections.abc import Mapping
from typing import Any

from flask import request

from app.api.dialect import scope
from app.api.dialect.fields import asked, flag, numbers, picked, threshold, wrong
from app.api.http import auth
from app.memory.filtered import FilteredGetAllRequest, FilteredSearchRequest
from app.security.scopes import SCOPE_KEYS
from app.storage.vectors.filters import MAX_DEPTH


def search(given: Mapping[str, Any]) -> FilteredSearchRequest:
    what = picked(given, query="query", limit="limit", explain="explain")
    what |= picked(given, show_expired="show_expired", top_k="limit")
    filters = given.get("filters") or {}
    try:
        checked = _checked(filters, MAX_DEPTH)
        beside = _checked(scope.beside(given), MAX_DEPTH)
    except ValueError as error:
        raise wrong("filters", str(error)) from None
    ids, rest = scope.lifted({"AND": [beside, checked]})
    scope.must_name_somebody(auth.principal(), ids, rest)
    place = {**ids, "filters": rest} if rest else dict(ids)
    return asked(FilteredSearchRequest, {**what, **place, "threshold": threshold(given)})


def listing() -> FilteredGetAllRequest:
    ids = scope.beside(request.args)
    scope.must_name_somebody(auth.principal(), ids, {})
    limit = picked(numbers("limit", "top_k"), limit="limit", top_k="limit")
    shown = {"show_expired": flag("show_expired")}
    return asked(FilteredGetAllRequest, {**ids, **limit, **shown})


def _checked(filters: Any, depth: int) -> scope.Filters:
    """`filters` with ids in their stored form. mem0's language of filters is the service's own, but
    may have ids of a scope. Raises ValueError."""
    if not isinstance(filters, Mapping):
        raise ValueError("each filter must be an object")
    if depth == 0:
        raise ValueError(f"filters nest at most {MAX_DEPTH} levels deep")
    result: scope.Filters = {}
    for key, value in filters.items():
        if key in scope.LOGIC:
            if not isinstance(value, list):
                raise ValueError(f"{key} takes a list of filters")
            result[key] = [_checked(part, depth - 1) for part in value]
        else:
            result[key] = scope.canonical_ids(value) if key in SCOPE_KEYS else value
    return result
