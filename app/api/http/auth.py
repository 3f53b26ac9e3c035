"""Authentication and authorization by API keys.

Every route needs a key unless its view is marked `open_to_all`: a forgotten mark refuses.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from app.config import Settings
from app.errors import ServiceError, Unauthorized
from app.memory.keys import KeyService
from app.security.keys import Keys, WrongKey
from app.security.principal import ANONYMOUS, Principal

View = TypeVar("View", bound=Callable[..., Any])

SCHEMES = ("bearer", "token")


def open_to_all(view: View) -> View:
    """Mark a view that needs no key."""
    view.open_to_all = True  # type: ignore[attr-defined]  # views are functions
    return view


def admin_only(view: View) -> View:
    """Mark a view that needs the admin key."""
    view.admin_only = True  # type: ignore[attr-defined]
    return view


def writes(view: View) -> View:
    """Mark a view that a read-only key may not use."""
    view.writes = True  # type: ignore[attr-defined]
    return view


def init_app(app: Flask, settings: Settings) -> None:
    key = settings.admin_api_key
    app.extensions["open"] = {"ops.metrics"} if settings.metrics_open else set()
    app.extensions["keys"] = key and KeyService(
        Keys(key.get_secret_value(), settings.revoked_keys), app.extensions["memory"].issued_keys
    )
    app.before_request(_authenticate)


def authorize() -> None:
    """Raises Unauthorized or Forbidden where the caller may not use this view, and
    HistoryUnavailable where the revoked keys cannot be read."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method == "OPTIONS" or _is_open(view):
        return
    if g.refusal:
        raise g.refusal
    # The operations check both, too. Here they are checked before the body is read.
    if getattr(view, "admin_only", False):
        g.principal.must_be_admin()
    if getattr(view, "writes", False):
        g.principal.must_write()


def _is_open(view: Callable[..., Any]) -> bool:
    return getattr(view, "open_to_all", False) or request.endpoint in current_app.extensions["open"]


def principal() -> Principal:
    """Who sent the current request."""
    known: Principal = g.principal
    return known


def _authenticate() -> None:
    """Find the principal of the current request. A wrong key is refused later, in `authorize`:
    open views need no key, and the rate limit must count requests with wrong keys."""
    g.principal, g.refusal = ANONYMOUS, None
    keys: KeyService | None = current_app.extensions["keys"]
    if keys:
        try:
            g.principal = _principal(keys)
        except WrongKey as error:
            g.refusal = Unauthorized(str(error))
        except ServiceError as error:
            g.refusal = error
    g.key_id = g.principal.id


def _principal(keys: KeyService) -> Principal:
    key = request.headers.get("X-API-Key")
    if key is None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in SCHEMES:
            raise WrongKey(
                "A key is needed: Authorization: Bearer <key>, Authorization: Token <key>, "
                "or X-API-Key: <key>."
            )
    return keys.principal(key.strip())
