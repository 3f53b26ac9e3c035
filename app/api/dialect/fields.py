"""Reads the known fields of bodies and queries; others are ignored."""

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request

from app.api.http import auth
from app.api.http.body import as_object, body
from app.errors import FieldError, InvalidRequest
from app.memory.validation import Request, validated

R = TypeVar("R", bound=Request)

THRESHOLD = 0.1
"""The least score of a result, where the client sends none: mem0's documented default."""

THEIRS = {"data": "text", "limit": "top_k"}
"""Our fields that have another name in mem0's bodies."""


def fields() -> dict[str, Any]:
    """The body of the current request. Raises InvalidRequest where it is no object."""
    return as_object(body())


def picked(given: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The fields of `given` that are not null, renamed by `theirs="ours"`. The last one wins where
    several become one."""
    return {ours: given[name] for name, ours in names.items() if given.get(name) is not None}


def threshold(given: Mapping[str, Any]) -> Any:
    """The threshold in a body, or mem0's default. Our scores fit it: mem0's CLI sends 0.3, and
    with the local embedder "I am a vegetarian and allergic to nuts." has 0.34 for "What are my
    dietary restrictions?" (2026-11-27)."""
    asked_for = given.get("threshold")
    return THRESHOLD if asked_for is None else asked_for


def numbers(*names: str) -> dict[str, Any]:
    """The fields `names` of the query as positive integers, as far as they are set. Raises
    InvalidRequest."""
    values = {name: request.args[name] for name in names if request.args.get(name)}
    for name, value in values.items():
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value)):
            raise wrong(name, "must be a whole number, 1 or more")
    return {name: int(value) for name, value in values.items()}


def flag(name: str) -> bool:
    """Whether the field `name` of the query is true, 1 or yes."""
    return request.args.get(name, "").lower() in ("true", "1", "yes")


def only_once(name: str) -> str | None:
    """The field `name` of the query. Raises InvalidRequest where it is given twice."""
    values = request.args.getlist(name)
    if len(values) > 1:
        raise wrong(name, "is given twice")
    return values[0] if values else None


def asked(model: type[R], given: dict[str, Any]) -> R:
    """`given` as `model`, for the current caller. Raises InvalidRequest, which names each wrong
    field as the client called it."""
    try:
        return validated(model, given, auth.principal())
    except InvalidRequest as error:
        errors = [FieldError(THEIRS.get(name, name), what) for name, what in error.errors]
        raise InvalidRequest(error.detail, errors) from None


def change(memory_id: Any, given: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The fields of an update. An expiration_date of null removes the date."""
    changes = picked(given, metadata="metadata", **names)
    if "expiration_date" in given:
        changes["expiration_date"] = given["expiration_date"]
    return {"memory_id": memory_id, **changes}


def wrong(field: str, message: str) -> InvalidRequest:
    return InvalidRequest("The request has wrong fields.", [FieldError(field, message)])
