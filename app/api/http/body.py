"""The bodies of requests: strict JSON, and the operation's model of it."""

import json
import re
from typing import Any, TypeVar

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from app.api.http import auth
from app.api.http.unreadable import BOM, not_json, not_utf_8
from app.errors import FieldError, InvalidRequest
from app.memory.strict_json import STRICT
from app.memory.validation import Request, validated

_KEY = re.compile("[!-~]{1,255}")

R = TypeVar("R", bound=Request)


def parse(model: type[R]) -> R:
    """The body of the current request as `model`; InvalidRequest names each wrong field."""
    return validated(model, body(), auth.principal())


def idempotency_key() -> str | None:
    """The Idempotency-Key of the current request. Raises InvalidRequest for what is none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        error = FieldError("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        raise InvalidRequest("The request has a wrong header.", [error])
    return key


def body() -> Any:
    """The JSON of the current request; an empty body is an empty object. Raises InvalidRequest,
    and what HTTP has for bodies of another type or size."""
    return decoded(raw_body())


def decoded(raw: bytes) -> Any:
    """The JSON of a body of the current request, see `body`."""
    if not raw.strip():
        return {}  # for routes that need nothing; the others name what is missing
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        return STRICT.decode(_text(raw))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(not_json(error)) from None
    except ValueError:  # such as an integer of too many digits
        raise InvalidRequest("A number is too large.") from None


def _text(raw: bytes) -> str:
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(not_utf_8(raw, error)) from None
    if "\0" in text[:2]:  # ASCII in UTF-16 is UTF-8 too, with zeros in it
        raise InvalidRequest("The body is in UTF-16: send it in UTF-8.")
    return text


def raw_body() -> bytes:
    """The body of the current request, whole. Raises InvalidRequest where it is cut off."""
    cut_off = InvalidRequest(
        "The body is not whole: the connection ended before it, or it took too long to send."
    )
    try:
        raw = request.get_data(cache=False)
    except ClientDisconnected:
        raise cut_off from None
    if request.content_length is None:
        if len(raw) >= (request.max_content_length or 0):
            raise RequestEntityTooLarge  # werkzeug cuts a chunked body there and says nothing
    elif len(raw) < request.content_length:
        raise cut_off  # of a body with a length werkzeug does not tell
    return raw
