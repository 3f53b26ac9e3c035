"""Paths as mem0's clients send them: ids are percent-encoded, and there are double slashes where
the client's host was set with a slash at its end."""

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
    """A segment of a path that `init_app` left encoded, so that it may have a slash in it."""

    def to_python(self, value: str) -> str:
        return unquote(value, errors="surrogateescape")  # surrogates are no id: a 400


def init_app(app: Flask, prefixes: re.Pattern[str]) -> None:
    """Route paths that begin with `prefixes` in their encoded form, by `Segment`. WSGI decodes
    paths before they are routed, so that %2F in an id would separate segments."""
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
    """The path as it was sent. Where the sent one is not known, because a proxy decoded it or took
    a prefix off, the decoded path is encoded again; then a slash in an id separates segments."""
    decoded: str = environ["PATH_INFO"]
    sent: str = environ.get("RAW_URI", "").partition("?")[0]
    if unquote_to_bytes(sent).decode("latin-1") == decoded:
        return sent
    return quote(decoded, safe="/", encoding="latin-1")
