"""gunicorn's threaded worker, for many short requests. What differs from its own:

- A request must be whole within a time. There each connection that stops in the middle of one
  holds a thread for ever, and one that sends nothing holds it for 5 s.
- A thread stays with its connection for a moment: mostly the next request follows at once, and to
  hand the connection to the main loop and back is a third of what a bare handler costs.
- Requests take turns at running Python, see app.turns.
"""

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

from app.turns import taken

STAY_MS = 20


class Worker(ThreadWorker):
    """One process with threads that each serve one connection at a time."""

    read_timeout = 15.0
    """Seconds; what is not whole by then is read no further: it is answered as a request that
    was cut off, and its connection is closed."""

    def init_process(self) -> None:
        self._deadlines: dict[Any, float] = {}  # all as long, so the first is the next
        self._queued = 0  # connections that wait for a thread
        self._changing = threading.Lock()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        with self._changing:
            self._queued += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve one request, and those that follow it within STAY_MS, unless other connections
        wait for a thread."""
        with self._changing:
            self._queued -= 1
        while True:
            self._arm(conn)
            try:
                kept = self._handle_one(conn)
            finally:
                self._disarm(conn)
            stays = kept is True and self.alive and not self._queued
            if not stays or not _is_readable(conn):
                return kept

    def _handle_one(self, conn: Any) -> Any:
        if not conn.initialized:
            if not _is_readable(conn):
                return _DEFER  # to the main loop; gunicorn itself would hold this thread for 5 s
            conn.data_ready = True
        with taken():
            return super().handle(conn)

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


def _is_readable(conn: Any) -> bool:
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(STAY_MS))


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
