"""Deletions by scope. Unlike in other requests, unknown fields are refused: an id under a wrong
name would be ignored, and more would be deleted than was meant."""

from collections.abc import Mapping

from flask import request

from app.api.dialect.fields import asked, fields, only_once, wrong
from app.memory.requests import DeleteAllRequest
from app.security.scopes import SCOPE_KEYS

KINDS = {key.removesuffix("_id"): key for key in SCOPE_KEYS}
"""The kinds of entities, each with the key of its id in a scope."""

IGNORED = ("source", "org_id", "project_id", "output_format", "version", "async_mode")
"""Fields that clients add to the query of every call."""

_NOTHING = "so nothing was deleted"


def delete_all() -> DeleteAllRequest:
    """The deletion that the query asks for. It must name an id, even where the caller's key is
    bound to a scope: a client sends the same request, without any id, when it is to delete one
    memory and is given an empty memory_id."""
    names = ", ".join(SCOPE_KEYS)
    for name in (*request.args.keys() - SCOPE_KEYS, *fields()):
        if name not in IGNORED:
            raise wrong(name, f"is not understood, {_NOTHING}: give {names} in the query")
    ids = {key: value for key in SCOPE_KEYS if (value := only_once(key)) is not None}
    if not ids:
        raise wrong("query", f"says of nobody, {_NOTHING}: give at least one of {names}")
    return of(ids)


def entity(kind: str, name: str) -> DeleteAllRequest:
    """The deletion of the entity that a path names."""
    if kind not in KINDS:
        raise wrong("entity_type", f"must be one of {', '.join(KINDS)}")
    return of({KINDS[kind]: name})


def of(ids: Mapping[str, str]) -> DeleteAllRequest:
    """The deletion of the scope `ids`. Raises InvalidRequest."""
    for key, value in ids.items():
        if value == "*":
            everything = "POST /memory/reset deletes everything of everybody"
            raise wrong(key, f"must name one, {_NOTHING}; {everything}")
    return asked(DeleteAllRequest, dict(ids))
