"""A deadline for a whole HTTP call. The time limit of httpx is for each piece of an answer, and
some services send blank lines while a call waits in their queue."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

SLOW_S = 0.1
"""Seconds. A thread watches the deadline of an answer that takes longer than this."""

Hook = Callable[[Any], None]


@cache
def deadline_hooks(httpx: ModuleType) -> tuple[Hook, Hook]:
    """The request hook and the response hook for a client of `httpx`, which may be httpx2. With
    them the client's read timeout is the limit of the whole answer."""

    class Body(httpx.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, body: Any, until: float, connection: Any) -> None:
            self._body = body
            self._until = until
            self._connection = connection

        def __iter__(self) -> Iterator[bytes]:
            return _pieces(self._body, self._until, self._connection, httpx.ReadTimeout)

        def close(self) -> None:
            self._body.close()

    def begin(request: Any) -> None:
        limit = request.extensions.get("timeout", {}).get("read")
        request.extensions["until"] = None if limit is None else time.monotonic() + limit

    def end(response: Any) -> None:
        until = response.request.extensions["until"]
        if until is None:
            return
        # The first piece of the body may take as long as is left of the deadline.
        response.request.extensions["timeout"]["read"] = max(until - time.monotonic(), 0.001)
        stream = response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream else None
        response.stream = Body(response.stream, until, connection)

    return begin, end


def _pieces(body: Any, until: float, connection: Any, late: type[Exception]) -> Iterator[bytes]:
    """The pieces of `body`. Raises `late` when the deadline `until` (monotonic) has passed."""
    slow = time.monotonic() + SLOW_S
    watch: threading.Timer | None = None
    try:
        for piece in body:
            now = time.monotonic()
            if now > until:
                raise late("the answer is not whole in time")
            if now > slow and watch is None and connection is not None:
                watch = threading.Timer(until - now, _hang_up, [connection])
                watch.daemon = True
                watch.start()
            yield piece
    except Exception as error:
        if time.monotonic() >= until and not isinstance(error, late):
            raise late("the answer is not whole in time") from None  # `_hang_up` broke it off
        raise
    finally:
        if watch:
            watch.cancel()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
