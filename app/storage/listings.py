"""Breaks listings off when a deletion by scope comes in between, so that no caller takes the rest
of the memories for all of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar
from weakref import WeakSet

from app.errors import ServiceBusy
from app.security.scopes import Scope, overlap

WAIT_S = 10.0
STARTS = 5  # attempts to begin a listing while deletions come in between
BEING_DELETED = "These memories are being deleted; try again."

T = TypeVar("T")


class Listing:
    """A listing of a scope that is being read. It is open as long as this object lives."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._broken = False

    def is_broken(self) -> bool:
        """Whether a deletion by scope has concerned it while it was read. To be checked after each
        part was read, and before the caller gets it."""
        return self._broken

    def break_off(self) -> None:
        self._broken = True


class Listings:
    """The open listings of this process."""

    def __init__(self, seconds: float = WAIT_S) -> None:
        """`seconds`: how long a new listing waits for a deletion."""
        self._seconds = seconds
        self._open: WeakSet[Listing] = WeakSet()
        self._deleting: list[Scope] = []
        self._changed = threading.Condition()

    def open(self, scope: Scope) -> Listing:
        """Open a listing of `scope`, after the running deletions that concern it have ended.

        Raises ServiceBusy where one takes too long.
        """
        until = time.monotonic() + self._seconds
        with self._changed:
            while any(overlap(scope, deleting) for deleting in self._deleting):
                if not self._changed.wait(until - time.monotonic()):
                    raise ServiceBusy(BEING_DELETED)
            listing = Listing(scope)
            self._open.add(listing)
        return listing

    def unbroken(self, scope: Scope, read: Callable[[], Iterator[T]]) -> Iterator[T]:
        """The parts that `read` yields of a scope, one or more, without a deletion in between.

        After a deletion before the first part, `read` is called again, STARTS times at most. Raises
        ServiceBusy after that, and where a deletion comes in between later. `read` must have read
        everything when it yields its last part."""
        for _ in range(STARTS):
            listing = self.open(scope)
            parts = read()
            first = next(parts)
            if not listing.is_broken():
                return chain((first,), _while_whole(listing, parts))
        raise ServiceBusy(BEING_DELETED)

    def break_off(self, scope: Scope) -> None:
        """Mark every open listing that may show memories of `scope`."""
        with self._changed:
            for listing in self._open:
                if overlap(scope, listing.scope):
                    listing.break_off()

    @contextmanager
    def deleting(self, scope: Scope) -> Iterator[None]:
        """Surrounds the deletion of a scope; {} means everything. Open listings of the scope are
        marked as broken, and new ones wait for its end."""
        with self._changed:
            self._deleting.append(scope)
        try:
            self.break_off(scope)
            yield
        finally:
            with self._changed:
                self._deleting.remove(scope)
                self._changed.notify_all()


def _while_whole(listing: Listing, parts: Iterator[T]) -> Iterator[T]:
    for part in parts:
        if listing.is_broken():
            raise ServiceBusy("These memories were deleted while they were read.")
        yield part
