"""Reads the bodies of requests: strict JSON, validated by the operation's model."""

import json
import re
from typing import Any, TypeVar

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.api.http import auth
from app.api.http.unreadable import BOM, no_object, not_json, not_utf_8
from app.errors import FieldError, InvalidRequest, UnsupportedType
from app.memory.strict_json import STRICT
from app.memory.validation import WHOLE, Request, validated

_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json|text/json")
_KEY = re.compile("[!-~]{1,255}")

R = TypeVar("R", bound=Request)


def parse(model: type[R]) -> R:
    """The body of the current request as `model`; InvalidRequest names each wrong field."""
    return validated(model, as_object(body()), auth.principal())


def idempotency_key() -> str | None:
    """The Idempotency-Key of the current request, if any. Raises InvalidRequest for a wrong one."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        error = FieldError("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        raise InvalidRequest("The request has a wrong header.", [error])
    return key


def body() -> Any:
    """The JSON of the current request; an empty body is an empty object. Raises InvalidRequest,
    and werkzeug's errors for bodies of a wrong type or size."""
    return decoded(raw_body())


def as_object(given: Any) -> dict[str, Any]:
    """`given`, JSON that was read. Raises InvalidRequest where it is no object."""
    if not isinstance(given, dict):
        raise InvalidRequest(no_object(given), [FieldError(WHOLE, "must be a JSON object")])
    return given


def decoded(raw: bytes) -> Any:
    """The JSON of `raw`, which is the body of the current request, see `body`."""
    if not raw.strip():
        return {}  # validation names the fields that are missing
    _check_type()
    try:
        return STRICT.decode(_text(raw))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(not_json(error)) from None
    except ValueError:  # such as an integer of too many digits
        raise InvalidRequest("A number is too large.") from None


def _check_type() -> None:
    """Raises UnsupportedType. What is taken, no other site's page may send unasked."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedType("Send the body as it is, without a Content-Encoding.")
    given = request.mimetype.partition(",")[0].strip()  # some proxies say it twice
    if not _JSON.fullmatch(given):
        instead = f", not as {given}" if _TYPE.fullmatch(given) else ""
        raise UnsupportedType(f"Send the body as application/json{instead}: see Content-Type.")


def _text(raw: bytes) -> str:
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(not_utf_8(raw, error)) from None
    if "\0" in text[:2]:  # ASCII in UTF-16 is also valid UTF-8, with zeros in it
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
            raise RequestEntityTooLarge  # werkzeug silently cuts a chunked body there
    elif len(raw) < request.content_length:
        raise cut_off  # werkzeug silently takes a body that is shorter than its length
    return raw
