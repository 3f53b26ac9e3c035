"""gunicorn's threaded worker, where a request must be whole within a time."""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """One process with threads that each serve one request at a time."""

    read_timeout = 15.0
    """Seconds; what is not whole by then is read no further: it is answered as a request that
    was cut off, and its connection is closed."""

    def init_process(self) -> None:
        self._reading: dict[Any, float] = {}  # by connection: until when
        super().init_process()

    def handle(self, conn: Any) -> Any:
        self._reading[conn] = time.monotonic() + self.read_timeout
        try:
            return super().handle(conn)
        finally:
            del self._reading[conn]

    def notify(self) -> None:
        """What gunicorn's loop calls at least once a second."""
        super().notify()
        now = time.monotonic()
        for conn, until in [*self._reading.items()]:
            if until < now:  # also of one that was read long ago: it is answered, then closed
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
