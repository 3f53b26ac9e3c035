"""The socket of a client while its request is answered, with a deadline for taking the answer."""

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

_RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: close at once, by a reset


class Answer:
    """The socket of a client, for the time of one request.

    Only the time counts in which the socket's buffer was full: how long the service takes to make
    the answer is not the client's fault.
    """

    def __init__(self, sock: Any, request: Any, seconds: float, read_seconds: float = 0) -> None:
        """`seconds`: how long the client may take nothing; `read_seconds`: how long it may pause
        in an upload."""
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
        """From now on break the answer off where it does not fit the socket's buffer at once."""
        self.is_hurried = True
        self._seconds = 0

    def receive(self, body: Body) -> Upload:
        """`body`, the body of this request, as a long upload. The connection is closed after it,
        because the start of the next request is unknown where the body is not read to its end."""
        self.request.must_close = True
        self.upload = Upload(body, self._read_seconds)
        return self.upload

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raises BrokenPipeError where the client does not take it in time."""
        left = memoryview(data)
        self._push(len(left), lambda done: self.sock.send(left[done:]))

    def sendfile(self, file: Any, offset: int, count: int) -> None:
        """Send `count` bytes of `file`. Raises BrokenPipeError as `sendall` does."""
        to, source = self.sock.fileno(), file.fileno()
        self._push(count, lambda done: os.sendfile(to, source, offset + done, count - done))

    def send(self, data: bytes) -> int:
        """Send all of `data`, which is "100 Continue" and so not yet the answer."""
        self.sendall(data)
        self.has_begun = False
        self.sock.setblocking(True)
        return len(data)

    def _push(self, size: int, send: Callable[[int], int]) -> None:
        """Send `size` bytes. `send(done)` sends what it can after the first `done` bytes, and
        returns how many."""
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
        """Wait until the socket can take more; break the answer off where that takes too long."""
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
        # The data that the client did not take is dropped, and the close does not wait for it.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        socket.socket.shutdown(self.sock, socket.SHUT_RD)
        raise BrokenPipeError(errno.EPIPE, "the answer was not taken in time")
