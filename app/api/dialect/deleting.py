"""Deletions by scope: what a client leaves out of one by mistake must not make it larger."""

from collections.abc import Mapping

from flask import request

from app.api.dialect.fields import asked, fields, only_once, wrong
from app.memory.requests import DeleteAllRequest
from app.security.scopes import SCOPE_KEYS

KINDS = {key.removesuffix("_id"): key for key in SCOPE_KEYS}
"""Of entities, and the ids that they have in a scope."""

IGNORED = ("source", "org_id", "project_id", "output_format", "version", "async_mode")
"""What clients add to the query of every call."""

_NOTHING = "so nothing was deleted"


def delete_all() -> DeleteAllRequest:
    """Of the query. A key's own scope alone is not enough: a client that was given an empty id of
    one memory asks the same."""
    names = ", ".join(SCOPE_KEYS)
    for name in (*request.args.keys() - SCOPE_KEYS, *fields()):
        if name not in IGNORED:
            raise wrong(name, f"is not understood, {_NOTHING}: give {names} in the query")
    ids = {key: value for key in SCOPE_KEYS if (value := only_once(key)) is not None}
    if not ids:
        raise wrong("query", f"says of nobody, {_NOTHING}: give at least one of {names}")
    return of(ids)


def entity(kind: str, name: str) -> DeleteAllRequest:
    """Of a path."""
    if kind not in KINDS:
        raise wrong("entity_type", f"must be one of {', '.join(KINDS)}")
    return of({KINDS[kind]: name})


def of(ids: Mapping[str, str]) -> DeleteAllRequest:
    for key, value in ids.items():
        if value == "*":
            everything = "POST /memory/reset deletes everything of everybody"
            raise wrong(key, f"must name one, {_NOTHING}; {everything}")
    return asked(DeleteAllRequest, dict(ids))
