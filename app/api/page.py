"""The web page, and the routes that only it uses."""

import re
from typing import Any

from flask import Blueprint, Response, current_app, send_from_directory
from werkzeug.exceptions import NotFound

from app.api.http import auth
from app.api.memory.routes import memory

bp = Blueprint("page", __name__)

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""Named here because Python guesses other types on other machines."""

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
            # Where a browser supports it, no script can turn a text into HTML.
            "require-trusted-types-for 'script'",
        )
    ),
    # The browser checks its copy by ETag each time, so that an upgrade shows at once.
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
    """The users, agents, apps and runs within the scope of the key, with their numbers of
    memories."""
    return memory().scopes(auth.principal())


def _file(name: str, mimetype: str) -> Response:
    folder = f"{current_app.root_path}/api/static"
    response = send_from_directory(folder, name, mimetype=mimetype)
    response.headers.update(_HEADERS)
    return response
