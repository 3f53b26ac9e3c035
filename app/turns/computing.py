"""Who may compute: one thread at a time, and the queues of those that want to."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TURN_S = 0.005
COMES, COMES_BACK = range(2)


class Turn:
    """One thread's turn, or its place in the queue for one."""

    __slots__ = ("come", "connection", "held", "queues")

    def __init__(self, *, queues: bool = True) -> None:
        self.come = threading.Lock()  # a bare lock: a handover is all that an event would add to
        self.come.acquire()
        self.queues = queues  # else its thread takes no turns, and waits beside them
        self.held = False  # also where it was taken away since, and the thread goes on without
        self.connection: Any = None  # what to serve in it


class Computing:
    """One thread at a time. Those that come and those that come back are served alternately,
    each in their order, so that a short request need not wait until a hundred others have taken
    in what their LLMs answered."""

    def __init__(self, seconds: float = TURN_S) -> None:
        self._seconds = seconds
        self._changing = threading.Lock()
        self._holder: Turn | None = None
        self._since = 0.0
        self._queues: tuple[deque[Any], ...] = (deque(), deque())  # of turns and connections
        self._next = COMES
        self._mine = threading.local()
        self.guarded = False
        """Whether a thread of its own looks after it, or those do that wait."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a turn, except while waiting."""
        self._take(COMES)
        try:
            yield
        finally:
            self._give()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Wait without the turn, and queue for another one then. Nothing where there is none."""
        if not self._turn().held:
            yield
            return
        self._give()
        try:
            yield
        finally:
            self._take(COMES_BACK)

    def _turn(self) -> Turn:
        """Of this thread."""
        turn: Turn | None = getattr(self._mine, "turn", None)
        if turn is None:
            turn = self._mine.turn = Turn()
        return turn

    def _take(self, queue: int) -> None:
        turn = self._turn()
        with self._changing:
            if self._holder is None:
                self._hold(turn)
                return
            self._queues[queue].append(turn)
        self._queue(turn)

    def _queue(self, turn: Turn) -> None:
        """Until the turn comes, which is certain."""
        while not (turn.come.acquire(timeout=-1 if self.guarded else self._seconds) and turn.held):
            self.look_after()
            with self._changing:
                if turn.held and turn.come.locked():  # it took it for itself
                    return

    def _give(self) -> None:
        turn = self._turn()
        turn.held = False
        with self._changing:
            if self._holder is turn:  # else it was taken away
                self._pass_on()

    def _pass_on(self, free: Turn | None = None) -> None:
        """To the next in the queues, or to nobody. `free` is a thread's that has nothing to do."""
        self._holder = None
        for queue in (self._next, 1 - self._next):
            if not self._queues[queue]:
                continue
            first = self._queues[queue][0]
            turn = first if isinstance(first, Turn) else self._for(first, free)
            if turn:
                self._queues[queue].popleft()
                self._next = 1 - queue
                self._hold(turn)
                return

    def _for(self, connection: Any, free: Turn | None) -> Turn | None:
        """The turn of a thread that will serve `connection`; None: it has to wait for one."""
        raise NotImplementedError("nothing that computes alone has connections")

    def _hold(self, turn: Turn) -> None:
        """Give the turn to the thread whose `turn` it is, and wake it where it is another's."""
        self._holder = turn
        self._since = time.monotonic()
        turn.held = True
        if turn is self._turn():
            turn.come.acquire(blocking=False)  # it may have been woken for something else
        else:
            wake(turn)

    def look_after(self) -> bool:
        """Take the turn from who keeps it for too long while others want it; whether anybody has
        it then."""
        with self._changing:
            late = time.monotonic() - self._since >= self._seconds
            if (self._holder is None or late) and any(self._queues):
                self._pass_on()
            return self._holder is not None


def wake(turn: Turn) -> None:
    """Also without a turn for it, such as to watch for others."""
    if turn.come.locked():  # else it was woken already, and does not know it yet
        turn.come.release()
