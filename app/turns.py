"""Requests take turns at running Python.

Only one thread at a time can run Python anyway. Left to the interpreter, threads that compete for
it wake one another after each short system call and mostly in vain: with 8 clients that was 30
context switches and half of the CPU time of a `get`. So a request holds a turn while it computes
and lets go of it while it waits: for a model, a disk, a lock.

A turn is advice, not a lock. Who keeps it for longer than TURN_S while others wait goes on without
one, beside whoever comes next: nothing can be deadlocked by it, and a wait that is not marked as
one costs the others no more than that.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

TURN_S = 0.005
COMES, COMES_BACK = range(2)


class _Turn:
    """One thread's turn, or its place in the queue for one."""

    __slots__ = ("come",)

    def __init__(self) -> None:
        self.come = threading.Lock()  # a bare lock: a handover is all that an event would add to
        self.come.acquire()


class Turns:
    """One thread at a time. Those that come and those that come back are served alternately,
    each in their order, so that a short request need not wait until a hundred others have taken
    in what their LLMs answered."""

    def __init__(self, seconds: float = TURN_S) -> None:
        self._seconds = seconds
        self._changing = threading.Lock()
        self._holder: _Turn | None = None
        self._since = 0.0
        self._queues: tuple[deque[_Turn], ...] = (deque(), deque())
        self._next = COMES
        self._mine = threading.local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a turn; `away` lets go of it."""
        self._take(COMES)
        try:
            yield
        finally:
            self._give()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Wait without the turn, and queue for another one then. Nothing where there is none."""
        if getattr(self._mine, "turn", None) is None:
            yield
            return
        self._give()
        try:
            yield
        finally:
            self._take(COMES_BACK)

    # ---- inside

    def _take(self, queue: int) -> None:
        turn = self._mine.turn = _Turn()
        with self._changing:
            if self._holder is None:
                self._hand_to(turn)
                return
            self._queues[queue].append(turn)
            ahead = sum(map(len, self._queues))
        # As long as it takes where all that are ahead use up their turns; mostly it comes sooner.
        while not turn.come.acquire(timeout=self._seconds * max(1, ahead)):
            with self._changing:
                if time.monotonic() - self._since >= self._seconds:
                    self._pass_on()
                ahead = sum(map(len, self._queues))

    def _give(self) -> None:
        turn, self._mine.turn = self._mine.turn, None
        with self._changing:
            if self._holder is turn:  # else it was taken away
                self._pass_on()

    def _pass_on(self) -> None:
        for queue in (self._next, 1 - self._next):
            if self._queues[queue]:
                self._next = 1 - queue
                self._hand_to(self._queues[queue].popleft())
                return
        self._holder = None

    def _hand_to(self, turn: _Turn) -> None:
        self._holder = turn
        self._since = time.monotonic()
        turn.come.release()


_turns = Turns()
taken = _turns.taken
away = _turns.away
