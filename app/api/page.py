"""The web page, and what it alone asks for."""

import re
from typing import Any

from flask import Blueprint, Response, current_app, send_from_directory
from werkzeug.exceptions import NotFound

from app.api.http import auth
from app.api.memory.routes import memory

bp = Blueprint("page", __name__)

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""Said here: what Python guesses from a name differs between machines."""

_FILE = re.compile(rf"[a-z0-9]+\.({'|'.join(_TYPES)})")

_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # A browser that knows it refuses to make HTML out of a text.
            "require-trusted-types-for 'script'",
        )
    ),
    # Kept, but asked for by ETag each time: an upgrade shows at once.
    "Cache-Control": "no-cache",
}


@bp.get("/")
@auth.open_to_all
def index() -> Response:
    return _file("index.html", "text/html")


@bp.get("/static/<name>")
@auth.open_to_all
def static(name: str) -> Response:
    match = _FILE.fullmatch(name)
    if not match:
        raise NotFound
    return _file(name, _TYPES[match[1]])


@bp.get("/scopes")
def scopes() -> dict[str, Any]:
    """Who has memories, and how many, within the scope of the key."""
    return memory().scopes(auth.principal())


def _file(name: str, mimetype: str) -> Response:
    folder = f"{current_app.root_path}/api/static"
    response = send_from_directory(folder, name, mimetype=mimetype)
    response.headers.update(_HEADERS)
    return response
