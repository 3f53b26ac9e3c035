"""A long body of a request: it need not be whole within a time, but it must keep coming."""

import time
from typing import Protocol

MIN_RATE = 10_000
"""Bytes a second that a client must send or take, over the time that it kept a thread waiting."""
STEP = 16 * 1024
"""Bytes that are read between two looks at the clock: 1.6 s at MIN_RATE."""


class Body(Protocol):
    def read(self, size: int) -> bytes: ...


class Upload:
    """Only the time that is spent waiting for the sender counts: what is done with what came is
    not its doing."""

    def __init__(self, body: Body, seconds: float) -> None:
        """`seconds` may go by without progress."""
        self._body = body
        self._seconds = seconds
        self._received = 0
        self._waited = 0.0
        self._waiting_since: float | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, or where its sender was late."""
        started = self._waiting_since = time.monotonic()
        try:
            data = self._body.read(min(size, STEP))
        finally:
            self._waiting_since = None
            self._waited += time.monotonic() - started
        self._received += len(data)
        return data

    def is_late(self, now: float) -> bool:
        since = self._waiting_since
        if since is None:
            return False
        allowed = self._seconds + self._received / MIN_RATE - self._waited
        return now - since > min(self._seconds, allowed)
