"""How the bodies that come in chunks are read: what is wrong with them is their sender's fault.

gunicorn takes chunks apart while the body is read, and says in exceptions of its own what is
wrong. And it takes them apart one by one: a body of many small ones costs far more than its size.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gunicorn.http.body import Body
from gunicorn.http.errors import ParseException

from app.errors import InvalidRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MALFORMED = "The chunks of the body are malformed: see RFC 9112, section 7.1."
TOO_SMALL = "The body comes in too many small chunks: send larger ones, or say its Content-Length."
MAX_CPU_S = 0.25
CPU_S_OF_BYTE = 5e-8
"""Seconds of CPU for taking one body apart, and more for each byte of it. Measured on a slow core:
2 us a chunk, so 0.003 s for a megabyte in chunks of a kilobyte, and 2 s for one in chunks of a
byte."""
STEP = 8192  # bytes that are read between two looks at the clock


class Chunks:
    """A body as gunicorn reads it. Raises InvalidRequest where its chunks are malformed or too
    small, and OSError where the connection ends before it."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._cpu_s = 0.0
        self._received = 0
        # Until it has been read to its end nobody knows where the next request starts. gunicorn
        # closes such a connection; else it would read what is left after the answer, and answer
        # what is wrong with it a second time.
        body.failed = True

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._cpu_s > MAX_CPU_S + self._received * CPU_S_OF_BYTE:
            raise InvalidRequest(TOO_SMALL)
        started = time.thread_time()
        try:
            data: bytes = self._body.read(min(size, STEP))
        except ParseException:
            raise InvalidRequest(MALFORMED) from None
        self._cpu_s += time.thread_time() - started
        self._received += len(data)
        if size and not data:
            self._body.failed = False
        return data


def checked(app: WSGIApplication) -> WSGIApplication:
    """`app` with Chunks for the bodies that come in chunks."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = Chunks(environ["wsgi.input"])
        return app(environ, start_response)

    return serve
