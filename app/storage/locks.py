"""Locks of writers within one process. None is held while a model is called, and each wait has a
limit."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from app.errors import ServiceBusy
from app.security.scopes import Scope, is_within, overlap

T = TypeVar("T")

LOCK_S = 10.0
CHANGING = "Another change of the same is still at work; ask again."
DELETING = "A deletion of these memories is still at work; ask again."


class Locks(Protocol):
    """The locks that writers hold. Each raises ServiceBusy after a wait of LOCK_S."""

    def changing(self, memory_id: str, scope: Callable[[], Scope]) -> AbstractContextManager[None]:
        """Held while a memory is changed: no other writer changes it, or deletes its scope. `scope`
        returns its scope; it is called only while a deletion runs."""

    def writing(self, memories: Mapping[str, Scope]) -> AbstractContextManager[None]:
        """Held while several memories are written, such as new ones. `memories` has their scopes by
        their ids."""

    def deleting(self, scope: Scope) -> AbstractContextManager[None]:
        """Held while everything in `scope` is deleted: no other writer writes there."""

    def alone(self, key: str) -> AbstractContextManager[None]:
        """Held by one writer with this key at a time. It must be taken before the other locks."""

    def at_rest(self) -> AbstractContextManager[None]:
        """Held while no other thread of this process writes."""


class ThreadLocks:
    """The `Locks` between the threads of one process."""

    def __init__(self, seconds: float = LOCK_S) -> None:
        self._scopes = ScopeLock(seconds)
        self._memories = KeyedLock(seconds)
        self._keys = KeyedLock(seconds)

    @contextmanager
    def changing(self, memory_id: str, scope: Callable[[], Scope]) -> Iterator[None]:
        with self._scopes.shared(scope), self._memories.holding([memory_id]):
            yield

    @contextmanager
    def writing(self, memories: Mapping[str, Scope]) -> Iterator[None]:
        scopes = _different(memories.values())
        with self._scopes.shared_by_all(lambda: scopes), self._memories.holding(memories):
            yield

    def deleting(self, scope: Scope) -> AbstractContextManager[None]:
        return self._scopes.exclusive(scope)

    def alone(self, key: str) -> AbstractContextManager[None]:
        return self._keys.holding([key])

    def at_rest(self) -> AbstractContextManager[None]:
        return self._scopes.exclusive({})


class ScopeLock:
    """A lock of scopes: shared by the writers of single memories, exclusive for the deletion of a
    scope.

    A deletion excludes only the writers within its scope. While a deletion waits, no new writer of
    its scope is let in, so that its turn comes. Raises ServiceBusy after a wait of LOCK_S.
    """

    def __init__(self, seconds: float = LOCK_S) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._sharing: list[Scope | None] = []  # scopes of memories; None: unknown, so any
        self._alone: list[Scope] = []  # exclusive ones, held or waited for, in order

    @contextmanager
    def shared(self, scope: Callable[[], Scope]) -> Iterator[None]:
        """Held for a memory in a scope. `scope` returns it; it is called only while a deletion
        runs."""
        with self.shared_by_all(lambda: [scope()]):
            yield

    @contextmanager
    def shared_by_all(self, scopes: Callable[[], Sequence[Scope]]) -> Iterator[None]:
        """Held for memories in several scopes. All are taken at once: a writer that held one and
        waited for another could block the very deletion that it waits for."""
        # Read without the lock. A deletion that begins right after this finds None in `_sharing`,
        # which stands for any scope, and waits.
        mine = scopes() if self._alone else [None]
        with self._changed:
            self._wait(lambda: not any(_holds(alone, one) for alone in self._alone for one in mine))
            self._sharing += mine
        try:
            yield
        finally:
            with self._changed:
                for one in mine:
                    self._sharing.remove(one)
                self._changed.notify_all()

    @contextmanager
    def exclusive(self, scope: Scope) -> Iterator[None]:
        mine = dict(scope)  # a copy, because entries are compared by identity
        with self._changed:
            self._alone.append(mine)
            try:
                self._wait(lambda: self._is_free(mine))
            except BaseException:
                self._leave(mine)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._leave(mine)

    def _is_free(self, mine: Scope) -> bool:
        before = self._alone[: _place(self._alone, mine)]
        return not any(overlap(other, mine) for other in before) and not any(
            _holds(mine, memory) for memory in self._sharing
        )

    def _leave(self, mine: Scope) -> None:
        del self._alone[_place(self._alone, mine)]
        self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        if not self._changed.wait_for(condition, self._seconds):
            raise ServiceBusy(DELETING)


def _different(scopes: Iterable[Scope]) -> list[Scope]:
    """`scopes` without doubles."""
    return [*{tuple(sorted(scope.items())): scope for scope in scopes}.values()]


def _holds(alone: Scope, memory: Scope | None) -> bool:
    return memory is None or is_within(memory, alone)


def _place(queue: list[T], mine: T) -> int:
    return next(place for place, one in enumerate(queue) if one is mine)


class Lock:
    """A lock with one holder at a time. Raises ServiceBusy with `detail` after a wait of LOCK_S."""

    def __init__(self, seconds: float = LOCK_S, detail: str = CHANGING) -> None:
        self._seconds = seconds
        self._detail = detail
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._seconds):
            raise ServiceBusy(self._detail)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class KeyedLock:
    """A lock for each key, with one holder at a time, in the order of their requests. Raises
    ServiceBusy after a wait of LOCK_S."""

    def __init__(self, seconds: float = LOCK_S) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._queue: list[set[str]] = []  # the keys of holders and of waiting threads, in order

    @contextmanager
    def holding(self, keys: Collection[str]) -> Iterator[None]:
        """Hold all of `keys`. They are taken at once, so that two holders cannot deadlock."""
        mine = {*keys}  # told apart from an equal one by its identity
        with self._changed:
            self._queue.append(mine)
            try:
                if not self._changed.wait_for(lambda: self._is_first(mine), self._seconds):
                    raise ServiceBusy(CHANGING)
            except BaseException:
                self._leave(mine)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._leave(mine)

    def _is_first(self, mine: set[str]) -> bool:
        before = self._queue[: _place(self._queue, mine)]
        return all(other.isdisjoint(mine) for other in before)

    def _leave(self, mine: set[str]) -> None:
        del self._queue[_place(self._queue, mine)]
        self._changed.notify_all()
