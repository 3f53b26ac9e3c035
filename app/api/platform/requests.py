"""Turns bodies and queries of the Platform's API into requests of the service."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import request

from app.api.dialect import scope
from app.api.dialect.adding import add_request
from app.api.dialect.fields import asked, flag, numbers, picked, threshold, wrong
from app.api.http import auth
from app.api.platform.filters import all_of, translated
from app.memory.filtered import FilteredGetAllRequest, FilteredSearchRequest
from app.memory.requests import AddRequest
from app.security.scopes import SCOPE_KEYS

Fields = Mapping[str, Any]

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
MAX_PAGE = 1000
"""The pages before the wanted one are read and skipped; each takes about 0.3 ms on the embedded
engine."""


class Paged(NamedTuple):
    """A page of a listing; `number` is None where the client asked for all memories."""

    asked: FilteredGetAllRequest
    number: int | None
    size: int


def add(given: Fields) -> AddRequest:
    whose = place(given)
    if "filters" in whose:
        raise wrong("filters", "only names whose memories an add stores: " + ", ".join(SCOPE_KEYS))
    return add_request(given, whose)


def search(given: Fields) -> FilteredSearchRequest:
    whose = place(given, "metadata", "categories")
    what = picked(given, query="query", limit="limit", show_expired="show_expired")
    what |= picked(given, top_k="limit")
    return asked(FilteredSearchRequest, {**what, **whose, "threshold": threshold(given)})


def listing(given: Fields, *, always_paged: bool = False) -> Paged:
    """`given` is the body, or for GET the query. `page` and `page_size` are in the query always."""
    paging = numbers("page", "page_size")
    size = paging.get("page_size", PAGE_SIZE)
    if size > MAX_PAGE_SIZE:  # a shorter page would look like the last one
        raise wrong("page_size", f"must not be more than {MAX_PAGE_SIZE}")
    if paging.get("page", 1) > MAX_PAGE:
        raise wrong("page", f"must not be more than {MAX_PAGE}; ask for larger ones")
    whose = place(given, "categories")
    if request.method == "GET":
        what: dict[str, Any] = {"show_expired": flag("show_expired")}
    else:
        what = picked(given, show_expired="show_expired")
    if not (paging or always_paged):
        return Paged(asked(FilteredGetAllRequest, {**what, **whose}), None, size)
    page = asked(FilteredGetAllRequest, {**what, **whose, "limit": size})
    return Paged(page, paging.get("page", 1), size)


def place(given: Fields, *more: str) -> dict[str, Any]:
    """The scope and the filters of a request. `more` names further fields of `given` that are
    conditions."""
    ids, rest = scope.lifted(_filters(given, *more))
    scope.must_name_somebody(auth.principal(), ids, rest)
    return {**ids, "filters": rest} if rest else dict(ids)


def _filters(given: Fields, *more: str) -> scope.Filters:
    """All conditions of a request as one filter: its filters, ids, dates and the fields `more`."""
    dates = {"gte": given.get("start_date"), "lte": given.get("end_date")}
    bounds = {operator: date for operator, date in dates.items() if date is not None}
    conditions = [
        given.get("filters") or {},
        scope.beside(given),
        {name: given[name] for name in more if given.get(name)},
        {"created_at": bounds} if bounds else {},
    ]
    try:
        return all_of([translated(condition) for condition in conditions if condition])
    except ValueError as error:
        raise wrong("filters", str(error)) from None
