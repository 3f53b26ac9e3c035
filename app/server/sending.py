"""A client's socket while a request of it is answered: what is sent must be taken in time."""

import errno
import logging
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

from app.server.receiving import MIN_RATE, Body, Upload

log = logging.getLogger(__name__)

_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: a close that does not wait for the client


class Answer:
    """The socket of a client, for the time of one request.

    Only the time in which nothing could be sent counts: how long the answer takes to come about
    is not the client's doing.
    """

    def __init__(self, sock: Any, request: Any, seconds: float, read_seconds: float = 0) -> None:
        """`seconds` may go by without progress, and `read_seconds` where it receives."""
        self.sock = sock
        self.request = request
        self.is_hurried = False
        self.has_begun = False
        self.upload: Upload | None = None
        self._seconds = seconds
        self._read_seconds = read_seconds
        self._sent = 0
        self._waited = 0.0

    def hurry(self) -> None:
        """Send nothing that does not fit the socket's buffer at once."""
        self.is_hurried = True
        self._seconds = 0

    def receive(self, body: Body) -> Upload:
        """The request's own `body`, as one that may be long. The connection ends with it: where it
        is not read to its end nobody knows where the next request begins."""
        self.request.must_close = True
        self.upload = Upload(body, self._read_seconds)
        return self.upload

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def sendall(self, data: bytes) -> None:
        """Raises BrokenPipeError where the client does not take it in time."""
        left = memoryview(data)
        self._push(len(left), lambda done: self.sock.send(left[done:]))

    def sendfile(self, file: Any, offset: int, count: int) -> None:
        """Raises BrokenPipeError as well."""
        to, source = self.sock.fileno(), file.fileno()
        self._push(count, lambda done: os.sendfile(to, source, offset + done, count - done))

    def send(self, data: bytes) -> int:
        """All of `data`, which is none of the answer yet: "100 Continue"."""
        self.sendall(data)
        self.has_begun = False
        self.sock.setblocking(True)
        return len(data)

    def _push(self, size: int, send: Callable[[int], int]) -> None:
        """All of `size` bytes; `send` sends what it can from a place on, and says how much."""
        if not self.has_begun:
            self.has_begun = True
            self.sock.setblocking(False)
        done = 0
        while done < size:
            try:
                sent = send(done)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait()
                continue
            if not sent:
                raise BrokenPipeError(errno.EPIPE, "the file is shorter than it was")
            self._sent += sent
            done += sent

    def _wait(self) -> None:
        """Until more can be sent."""
        started = time.monotonic()
        allowed = self._seconds + self._sent / MIN_RATE - self._waited
        patience = max(0.0, min(self._seconds, allowed))
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        if not poller.poll(patience * 1000):
            log.info("an answer that was not taken in time was broken off")
            self._break_off()
        self._waited += time.monotonic() - started

    def _break_off(self) -> None:
        # What it has not taken shall not stay in the system's buffers, nor its end be waited for.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        socket.socket.shutdown(self.sock, socket.SHUT_RD)
        raise BrokenPipeError(errno.EPIPE, "the answer was not taken in time")
