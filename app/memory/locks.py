"""Locks for writers. None is ever held across a call to a model."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Many may hold it shared, or one exclusively; who waits for that lets nobody else in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._exclusive = False
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            shares = self._share()
        if not shares:
            with self._changed:
                self._changed.wait_for(self._share)
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._exclusive and not self._sharing)
            finally:
                self._waiting -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()

    def _share(self) -> bool:
        """Share it, if that may be now."""
        free = not self._exclusive and not self._waiting
        self._sharing += free
        return free


class KeyedLock:
    """One lock for each key, out of a fixed number: equal keys always share theirs."""

    def __init__(self, stripes: int = 256) -> None:
        self._locks = [threading.Lock() for _ in range(stripes)]

    def __getitem__(self, key: str) -> threading.Lock:
        return self._locks[hash(key) % len(self._locks)]
