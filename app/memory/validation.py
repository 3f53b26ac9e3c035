"""Validates requests by the pydantic models of requests.py, and reports mistakes as
InvalidRequest."""

import hashlib
import json
from collections.abc import Collection
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.errors import FieldError, InvalidRequest
from app.memory.fields import Omittable, ScopeId
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, Scope


class Request(BaseModel):
    """The base of all requests. No value is converted, and unknown fields are refused: a typo in
    `user_id` must never widen a search to everybody's memories."""

    model_config = ConfigDict(extra="forbid", strict=True)

    means_something_as_null: ClassVar[Collection[str]] = ()
    """Fields that keep a null; other fields with a null count as left out."""

    _sent: dict[str, Any] = PrivateAttr()
    """The body as sent, with the scope of the caller's key."""

    @model_validator(mode="before")
    @classmethod
    def _leave_nulls_out(cls, given: Any) -> Any:
        """`given` without fields that are null. Generated clients send null for every field that
        is not set. Ids of a scope stay, so that a null one is refused."""
        if not isinstance(given, dict):
            return given
        names = {*cls.model_fields, "top_k"} - {*SCOPE_KEYS, *cls.means_something_as_null}
        return {k: v for k, v in given.items() if v is not None or k not in names}

    def fingerprint(self) -> str:
        """SHA-256 of the body as sent, as JSON with sorted keys.

        It is not made of this model, whose defaults would change every fingerprint as soon as the
        model gets a new field. It includes the scope of the caller's key, so that it does not
        matter whether the body or the key names the user.
        """
        return sha256_of(self._sent)

    def to_json(self) -> str:
        """The body as sent, which `validated` can read again."""
        return json.dumps(self._sent)


def sha256_of(value: Any) -> str:
    """The SHA-256 of `value` as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


WHOLE = "body"
"""The name of the field in errors that concern the whole body."""

R = TypeVar("R", bound=Request)


class Scoped(Request):
    user_id: Omittable[ScopeId] = None
    agent_id: Omittable[ScopeId] = None
    app_id: Omittable[ScopeId] = None
    run_id: Omittable[ScopeId] = None

    def scope(self) -> Scope:
        return {key: value for key in SCOPE_KEYS if (value := getattr(self, key))}


class InScope(Scoped):
    """A request that needs at least one id of a scope."""

    @model_validator(mode="after")
    def _some_scope(self) -> Self:
        if not self.scope():
            raise ValueError(f"give at least one of {', '.join(SCOPE_KEYS)}")
        return self


def validated(model: type[R], given: Any, principal: Principal) -> R:
    """`given`, which is parsed JSON, as `model`, with the caller's own scope added.

    Raises InvalidRequest, which names each wrong field, and Forbidden where it names another scope
    than the caller's.
    """
    if issubclass(model, Scoped) and principal.scope and isinstance(given, dict):
        given = {**principal.scope, **given}
    try:
        asked = model.model_validate(given)
    except ValidationError as error:
        errors = [FieldError(_field(wrong), _message(wrong)) for wrong in error.errors()]
        raise InvalidRequest("The request has wrong fields.", errors) from None
    if isinstance(asked, Scoped):
        principal.narrowed(asked.scope())
    asked._sent = given  # the only place that sets it
    return asked


def at_place(place: str, error: InvalidRequest) -> InvalidRequest:
    """`error`, which concerns the part at `place` of a request, with the full names of fields."""
    errors = [
        FieldError(place if field == WHOLE else f"{place}.{field}", message)
        for field, message in error.errors
    ]
    return InvalidRequest(error.detail, errors)


def _field(wrong: ErrorDetails) -> str:
    return ".".join(str(part) for part in wrong["loc"]) or WHOLE


def _message(wrong: ErrorDetails) -> str:
    if wrong["type"] == "extra_forbidden":
        return "there is no such field"
    return wrong["msg"].removeprefix("Value error, ")
