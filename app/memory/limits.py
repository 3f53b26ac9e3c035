"""What requests share: places to wait for an LLM, which must not take every thread there is, and
memory for large bodies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServiceBusy, TooManyRequests

WAIT_S = 2.0
LLM_IS_BUSY = "The LLM has more to do than LLM_CONCURRENCY allows; try again."
WAITING_SHARE = 8  # for each 8 places one more may wait for a place


class ConcurrencyLimiter:
    """`size` callers at once, and a short queue; more are refused rather than kept waiting."""

    def __init__(self, size: int, seconds: float = WAIT_S, detail: str = LLM_IS_BUSY) -> None:
        """Who has waited `seconds` is refused too, and told `detail`."""
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
    """So many bytes for all who hold some of them."""

    def __init__(self, size: int, seconds: float = WAIT_S) -> None:
        """Who has waited `seconds` for others to let go is told ServiceBusy."""
        self.size = size
        self._seconds = seconds
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, size: int, *, waits: bool = True) -> Iterator[None]:
        """Who holds some already may not wait for more: another may do the same."""
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
