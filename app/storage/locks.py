"""Locks for writers. None is ever held across a call to a model, and each wait has a limit."""

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
    """What writers hold. Who has waited for LOCK_S is told ServiceBusy."""

    def changing(self, memory_id: str, scope: Callable[[], Scope]) -> AbstractContextManager[None]:
        """For a write to a memory, which nobody else changes meanwhile, nor deletes by its scope.
        That is asked for only where somebody deletes one."""

    def writing(self, memories: Mapping[str, Scope]) -> AbstractContextManager[None]:
        """The same for several of known scopes, by their ids, such as new ones."""

    def deleting(self, scope: Scope) -> AbstractContextManager[None]:
        """For a deletion of all within `scope`: nobody else writes there meanwhile."""

    def alone(self, key: str) -> AbstractContextManager[None]:
        """One at a time with this key. Taken before any other."""

    def at_rest(self) -> AbstractContextManager[None]:
        """No other thread of this process writes."""


class ThreadLocks:
    """`Locks` among the threads of one process."""

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
    """Who writes single memories shares it with others; who deletes a scope has it alone.

    Alone among those within the scope: the writers of other scopes go on. Whoever waits to have a
    scope alone keeps new sharers out of it, so that its turn comes. Who has waited for LOCK_S is
    told ServiceBusy.
    """

    def __init__(self, seconds: float = LOCK_S) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._sharing: list[Scope | None] = []  # of memories; None: it may be any
        self._alone: list[Scope] = []  # held, or waited for, in the order of their coming

    @contextmanager
    def shared(self, scope: Callable[[], Scope]) -> Iterator[None]:
        """For a memory of `scope`, which is asked for only where somebody deletes a scope."""
        with self.shared_by_all(lambda: [scope()]):
            yield

    @contextmanager
    def shared_by_all(self, scopes: Callable[[], Sequence[Scope]]) -> Iterator[None]:
        """The same for memories of several scopes. All at once: who had one and waited for another
        would keep out the deletion that it waits for."""
        # Looked at without the lock. A deletion that begins a moment later finds None here, which
        # may be any memory, and waits for it.
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
        mine = dict(scope)  # told apart from an equal one by its identity
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
    """Each once."""
    return [*{tuple(sorted(scope.items())): scope for scope in scopes}.values()]


def _holds(alone: Scope, memory: Scope | None) -> bool:
    return memory is None or is_within(memory, alone)


def _place(queue: list[T], mine: T) -> int:
    return next(place for place, one in enumerate(queue) if one is mine)


class Lock:
    """One holder at a time. Who has waited for LOCK_S is told ServiceBusy with `detail`."""

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
    """One holder at a time of each key, by the order of their coming.

    Who has waited for LOCK_S is told ServiceBusy.
    """

    def __init__(self, seconds: float = LOCK_S) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._queue: list[set[str]] = []  # held, or waited for

    @contextmanager
    def holding(self, keys: Collection[str]) -> Iterator[None]:
        """All of them at once, so that two who want the same never wait for each other."""
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
