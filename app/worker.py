"""gunicorn's threaded worker, with an end to waiting for a request.

The one that comes with gunicorn waits for ever for the rest of a request once its first byte is
there, and each such connection holds a thread.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class DeadlineWorker(ThreadWorker):
    """A request that is not whole within `read_timeout` seconds is read no further: it is
    answered as one that was cut off, and its connection is closed."""

    read_timeout = 15.0

    def init_process(self) -> None:
        self._deadlines: dict[Any, float] = {}  # all as long, so the first is the next
        self._changing = threading.Lock()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        self._arm(conn)
        try:
            return super().handle(conn)
        finally:
            self._disarm(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """From here on only the body can be late; what comes after it may take its time."""
        req.body.reader = _Watched(req.body.reader, lambda: self._disarm(conn))
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """What gunicorn's loop calls at least once a second."""
        super().notify()
        now = time.monotonic()
        with self._changing:
            late = [conn for conn, deadline in self._deadlines.items() if deadline <= now]
            for conn in late:
                del self._deadlines[conn]
                with suppress(OSError):  # gone meanwhile
                    conn.sock.shutdown(socket.SHUT_RD)

    def _arm(self, conn: Any) -> None:
        with self._changing:
            self._deadlines[conn] = time.monotonic() + self.read_timeout

    def _disarm(self, conn: Any) -> None:
        with self._changing:
            self._deadlines.pop(conn, None)


class _Watched:
    """Reads a body, and tells when all of it is there."""

    def __init__(self, reader: Any, complete: Any) -> None:
        self._reader = reader
        self._complete = complete
        if self._is_complete():
            complete()

    def read(self, size: int) -> bytes:
        data: bytes = self._reader.read(size)
        if not data or self._is_complete():
            self._complete()
        return data

    def _is_complete(self) -> bool:
        return getattr(self._reader, "length", None) == 0
