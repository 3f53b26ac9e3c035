"""Threads that hold locks, for the tests of locks."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Event
from typing import Any


class Holder:
    """A thread that takes a lock, tells so, and holds it until it is told to let go."""

    soon_s = 10.0
    """Given to what must happen."""

    def __init__(
        self, pool: ThreadPoolExecutor, lock: AbstractContextManager[Any], letting_go: bool = False
    ) -> None:
        self.holds = Event()
        self.let_go = Event()
        if letting_go:
            self.let_go.set()
        self.ended: Future[None] = pool.submit(self._run, lock)

    def _run(self, lock: AbstractContextManager[Any]) -> None:
        with lock:
            self.holds.set()
            assert self.let_go.wait(self.soon_s)

    def finish(self) -> None:
        self.let_go.set()
        self.ended.result(self.soon_s)
