"""Lets callers wait for the end of a job. Each occupies a thread, so their number is bounded."""

import threading
import time
from collections.abc import Callable

from app.memory.jobs.job import Job

POLL_S = 0.5
"""Seconds between two looks at a job, which another process may have ended."""


class Waiting:
    """The waiting callers of one process. Safe for many threads."""

    def __init__(self, most: int) -> None:
        """`most`: how many callers may wait at once."""
        self._places = threading.Semaphore(most)
        self._changing = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        self._closed = False

    def until_ended(self, look: Callable[[], Job], seconds: float) -> Job:
        """The job that `look` returns, as soon as it has ended, after `seconds` at the latest.
        Where too many callers wait already, it is returned at once."""
        job = look()
        if job.has_ended or seconds <= 0 or not self._places.acquire(blocking=False):
            return job
        told = threading.Event()
        with self._changing:
            self._waiting.setdefault(job.id, []).append(told)
        try:
            return self._wait(look, told, time.monotonic() + seconds)
        finally:
            self._places.release()
            with self._changing:
                self._waiting[job.id].remove(told)
                if not self._waiting[job.id]:
                    del self._waiting[job.id]

    def _wait(self, look: Callable[[], Job], told: threading.Event, deadline: float) -> Job:
        while True:
            job = look()
            left = deadline - time.monotonic()
            if job.has_ended or left <= 0 or self._closed:
                return job
            told.wait(min(left, POLL_S))
            told.clear()

    def tell(self, id_: str) -> None:
        """Wake the callers who wait for this job, because it has changed."""
        with self._changing:
            for told in self._waiting.get(id_, ()):
                told.set()

    def close(self) -> None:
        """Wake all callers; from now on nobody waits."""
        self._closed = True
        with self._changing:
            for waiting in self._waiting.values():
                for told in waiting:
                    told.set()
