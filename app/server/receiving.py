"""Long uploads: they have no deadline as a whole, but a minimum rate."""

import time
from typing import Protocol

MIN_RATE = 10_000
"""Bytes a second that a client must send or take. Only the time counts in which a thread waited for
the client."""
STEP = 16 * 1024
"""Bytes that are read between two checks of the rate: 1.6 s at MIN_RATE."""


class Body(Protocol):
    def read(self, size: int) -> bytes: ...


class Upload:
    """The body of a request, and how long its sender has kept us waiting. The time that we spend
    on the data does not count."""

    def __init__(self, body: Body, seconds: float) -> None:
        """`seconds`: how long the sender may pause."""
        self._body = body
        self._seconds = seconds
        self._received = 0
        self._waited = 0.0
        self._waiting_since: float | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, or after the worker cut off a late sender."""
        started = self._waiting_since = time.monotonic()
        try:
            data = self._body.read(min(size, STEP))
        finally:
            self._waiting_since = None
            self._waited += time.monotonic() - started
        self._received += len(data)
        return data

    def is_late(self, now: float) -> bool:
        """Whether the sender has paused for too long or is too slow; `now` is monotonic."""
        since = self._waiting_since
        if since is None:
            return False
        allowed = self._seconds + self._received / MIN_RATE - self._waited
        return now - since > min(self._seconds, allowed)
