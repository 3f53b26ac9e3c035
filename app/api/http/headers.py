"""Security headers for every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def init_app(app: Flask) -> None:
    app.wsgi_app = _with_headers(app.wsgi_app)  # type: ignore[method-assign, assignment]


def _with_headers(app: WSGIApplication) -> WSGIApplication:
    """`app` with HEADERS in every answer that does not set them itself. WSGI is the cheapest place
    to add them."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = {name for name, _ in headers}
            headers += [item for item in HEADERS.items() if item[0] not in given]
            return start_response(status, headers, exc_info)

        return app(environ, start)

    return serve
