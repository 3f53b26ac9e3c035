"""Bodies with `Transfer-Encoding: chunked`: malformed or tiny chunks become a 400.

gunicorn parses the chunks while the application reads the body. It raises exceptions of its own for
malformed ones, which would look like defects of this service. And it parses chunks one by one, so
that a body of many tiny chunks costs far more CPU than its size.
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
"""A body may take MAX_CPU_S seconds of CPU to parse, and CPU_S_OF_BYTE more for each byte. Measured
on a slow core: 2 us a chunk, so 0.003 s for a megabyte in chunks of a kilobyte, and 2 s for a
megabyte in chunks of a byte."""
STEP = 8192  # bytes read between two checks of the CPU time


class Chunks:
    """A body as gunicorn reads it. Raises InvalidRequest where its chunks are malformed or too
    small, and OSError where the connection ends before it."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._cpu_s = 0.0
        self._received = 0
        # Before the end of the body the start of the next request is unknown, so gunicorn must
        # close the connection. Else it would read the rest after the answer, and answer a malformed
        # chunk a second time.
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
