"""How what is asked is checked: a strict pydantic model for each operation, see requests.py, whose
mistakes are told as the service's own errors."""

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
    """Nothing is converted, and a field that is not known is refused: a typo in `user_id`
    must never widen a search to everybody."""

    model_config = ConfigDict(extra="forbid", strict=True)

    means_something_as_null: ClassVar[Collection[str]] = ()
    """Fields of which a null is not the same as to leave them out."""

    _sent: dict[str, Any] = PrivateAttr()
    """The body that this was read from, with the scope of the caller's key."""

    @model_validator(mode="before")
    @classmethod
    def _leave_nulls_out(cls, given: Any) -> Any:
        """Clients that are made from the contract send one for every field that is not set."""
        if not isinstance(given, dict):
            return given
        names = {*cls.model_fields, "top_k"} - {*SCOPE_KEYS, *cls.means_something_as_null}
        return {k: v for k, v in given.items() if v is not None or k not in names}

    def fingerprint(self) -> str:
        """SHA-256 of what was sent, as JSON with sorted keys.

        Not of this model: with its defaults the next field of it would make every body another
        one. The scope of the caller's key is in it: a body says the same whether it names its
        user or the key does.
        """
        return sha256_of(self._sent)

    def to_json(self) -> str:
        """What was sent, for `validated` to read again."""
        return json.dumps(self._sent)


def sha256_of(value: Any) -> str:
    """Of it as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


WHOLE = "body"
"""The field that is named where no single one is wrong."""

R = TypeVar("R", bound=Request)


class Scoped(Request):
    user_id: Omittable[ScopeId] = None
    agent_id: Omittable[ScopeId] = None
    app_id: Omittable[ScopeId] = None
    run_id: Omittable[ScopeId] = None

    def scope(self) -> Scope:
        return {key: value for key in SCOPE_KEYS if (value := getattr(self, key))}


class InScope(Scoped):
    """At least one of the scope ids is needed."""

    @model_validator(mode="after")
    def _some_scope(self) -> Self:
        if not self.scope():
            raise ValueError(f"give at least one of {', '.join(SCOPE_KEYS)}")
        return self


def validated(model: type[R], given: Any, principal: Principal) -> R:
    """`given`, parsed JSON, as `model`. InvalidRequest names each wrong field.

    The caller's own scope is put on it; Forbidden where it names another.
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
    asked._sent = given  # set here alone
    return asked


def at_place(place: str, error: InvalidRequest) -> InvalidRequest:
    """What is wrong with a part of a request, which stands at `place` in it."""
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
