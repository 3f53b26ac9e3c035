"""Limits that requests share: how many may wait for an LLM, so that they do not take all threads,
and how much memory large bodies may take."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServiceBusy, TooManyRequests

WAIT_S = 2.0
LLM_IS_BUSY = "The LLM has more to do than LLM_CONCURRENCY allows; try again."
WAITING_SHARE = 8  # for each 8 places one more may wait for a place


class ConcurrencyLimiter:
    """Lets `size` callers in at once, and a few wait; others are refused at once."""

    def __init__(self, size: int, seconds: float = WAIT_S, detail: str = LLM_IS_BUSY) -> None:
        """`seconds`: how long a caller may wait; `detail`: the text for refused callers."""
        self._detail = detail
        self._seconds = seconds
        self._free = threading.Semaphore(size)
        self._may_wait = threading.Semaphore(max(1, size // WAITING_SHARE))

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Hold a place. Raises TooManyRequests."""
        if not self._free.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._free.release()

    def _wait(self) -> None:
        if self._may_wait.acquire(blocking=False):
            try:
                if self._free.acquire(timeout=self._seconds):
                    return
            finally:
                self._may_wait.release()
        raise TooManyRequests(self._detail)


class MemoryBudget:
    """A number of bytes that callers share."""

    def __init__(self, size: int, seconds: float = WAIT_S) -> None:
        """`seconds`: how long a caller waits for others to release theirs."""
        self.size = size
        self._seconds = seconds
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, size: int, *, waits: bool = True) -> Iterator[None]:
        """Hold `size` bytes. Raises ServiceBusy after the wait; at once unless `waits`. A caller
        that already holds some must not wait: two such callers could wait for each other."""
        with self._changed:
            if not self._changed.wait_for(lambda: size <= self._free, self._seconds * waits):
                raise ServiceBusy("Other large bodies take all the memory there is; try again.")
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
