"""Paths as mem0's clients send them: names of users percent-encoded, slashes doubled where a
host was given with one at its end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_to_bytes

from flask import Flask
from werkzeug.routing import UnicodeConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SLASHES = re.compile("/{2,}")


class Segment(UnicodeConverter):
    """One part of a path that `init_app` left encoded: a slash in it is part of the name."""

    def to_python(self, value: str) -> str:
        return unquote(value, errors="surrogateescape")  # which no id may hold: a 400


def init_app(app: Flask, prefixes: re.Pattern[str]) -> None:
    """Route the paths that begin with `prefixes` encoded, by `Segment`: WSGI decodes them first,
    so that %2F in a name would separate parts."""
    app.url_map.converters["segment"] = Segment
    app.wsgi_app = _with_encoded_paths(app.wsgi_app, prefixes)  # type: ignore[method-assign, assignment]


def _with_encoded_paths(app: WSGIApplication, prefixes: re.Pattern[str]) -> WSGIApplication:
    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = _SLASHES.sub("/", environ["PATH_INFO"])
        if prefixes.match(path):
            environ["PATH_INFO"] = _SLASHES.sub("/", _encoded(environ))
        return app(environ, start_response)

    return serve


def _encoded(environ: WSGIEnvironment) -> str:
    """The path as it was sent. Below a prefix of a proxy, or where a proxy decoded it, only as it
    can be made again: then a slash separates parts."""
    decoded: str = environ["PATH_INFO"]
    sent: str = environ.get("RAW_URI", "").partition("?")[0]
    if unquote_to_bytes(sent).decode("latin-1") == decoded:
        return sent
    return quote(decoded, safe="/", encoding="latin-1")
