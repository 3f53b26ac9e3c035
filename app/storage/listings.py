"""Listings that are being read, and the deletions that must not make a part of them look whole."""

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
STARTS = 5  # of a listing that meets deletions
BEING_DELETED = "These memories are being deleted; try again."

T = TypeVar("T")


class Listing:
    """What somebody reads of a scope. It ends when nobody holds this object any more."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._broken = False

    def is_broken(self) -> bool:
        """Whether memories of its scope were deleted all at once while it was read. Asked after
        each part that was read, before that is given."""
        return self._broken

    def break_off(self) -> None:
        self._broken = True


class Listings:
    """The listings that are open in this process."""

    def __init__(self, seconds: float = WAIT_S) -> None:
        """`seconds`: how long a listing waits for a deletion."""
        self._seconds = seconds
        self._open: WeakSet[Listing] = WeakSet()
        self._deleting: list[Scope] = []
        self._changed = threading.Condition()

    def open(self, scope: Scope) -> Listing:
        """A listing of `scope`, when no deletion that it may meet is at work.

        Raises ServiceBusy where one goes on for too long.
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
        """What `read` gives of a scope, in one part or more, all of them or a ServiceBusy: it
        starts over where a deletion came in between before the first part was taken, and breaks
        off where later. With its last part it has read everything."""
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
        """Around a deletion of a scope, {} being everybody's: marks the listings that are open,
        and those that are opened wait for its end."""
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
