"""What is waited for, and which thread watches for all; see the package."""

import select
import threading
import time
from collections.abc import Callable
from typing import Any

from app.turns.computing import COMES, COMES_BACK, TURN_S, Computing, Turn, wake
from app.turns.events import Events

GUARD_S = 0.02  # how often it is looked whether a turn lasts too long, or nobody watches
GUARDED = 10  # looks without a turn that anybody had, until the guard sleeps
LOOK_S = 0.002  # how old what is known of new requests may be while threads queue for the turn
WATCH_S = 1.0  # how long one watches at a time where nothing comes


class Turns(Computing):
    """Turns, and what is waited for without one."""

    def __init__(self, seconds: float = TURN_S) -> None:
        super().__init__(seconds)
        self._events: Events | None = None  # where connections are served
        self._closing = False
        self._watcher: Turn | None = None  # of the thread that watches, or was told to
        self._looked_at = 0.0
        self._answers: dict[int, Turn] = {}  # by file number: whose answer will come there
        self._connections: dict[int, tuple[Any, float]] = {}  # and until when, the oldest first
        self._resting: list[Turn] = []  # threads without a request
        self._start_thread: Callable[[], bool] = lambda: False
        self._starting = False
        self._stirred = threading.Event()  # else the guard sleeps

    def open(self, start_thread: Callable[[], bool]) -> None:
        """Begin to watch, in the process that serves.

        `start_thread` starts one that asks for `next` until that is None, or gives False where
        there are enough.
        """
        self._events = Events()
        self._start_thread = start_thread
        self.guarded = True
        threading.Thread(target=self._guard, name="turns", daemon=True).start()

    def close(self) -> None:
        """Let those go that have nothing to do."""
        with self._changing:
            self._closing = True
            self._stirred.set()
            for turn in self._resting:
                wake(turn)
        if self._events:
            self._events.ring()

    def watch(self, connection: Any, seconds: float) -> None:
        """Give `connection` to whoever asks for `next`, as soon as its socket, `sock`, has
        something to read; it is `silent` where that takes longer than `seconds`."""
        number = connection.sock.fileno()
        with self._changing:
            self._connections[number] = (connection, time.monotonic() + seconds)
            if self._events:
                self._events.arm(number)
            self._appoint()

    def ready(self, connection: Any) -> None:
        """The same for one whose next request was read already."""
        with self._changing:
            self._queues[COMES].append(connection)
            if self._holder is None:
                self._pass_on()

    def silent(self, seconds: float = 0.0) -> list[Any]:
        """The connections whose time is over, or will be in so many seconds: watched no more."""
        now = time.monotonic() + seconds
        with self._changing:
            over = [number for number, (_, until) in self._connections.items() if until <= now]
            return [self._connections.pop(number)[0] for number in over]

    def next(self, seconds: float) -> Any:
        """Give back the turn, and come with the next connection in another. None, without a
        turn, where there is nothing to do for `seconds`."""
        turn = self._turn()
        turn.connection = None
        with self._changing:
            self._starting = self._starting and turn.held  # else it has just been started
            turn.held = False
            if self._holder in (turn, None):
                self._pass_on(turn)
            if turn.held:
                return turn.connection
            if self._closing:
                return None
            self._resting.append(turn)
        if self._rest(turn, time.monotonic() + seconds):
            return turn.connection
        with self._changing:
            if turn in self._resting:
                self._resting.remove(turn)
                self._leave_to_others(turn)
                return None
        self._queue(turn)  # it was called at the last moment
        return turn.connection

    def readable(self, sock: Any, seconds: float | None) -> bool:
        """Wait without the turn until there is something to read; False where that took longer
        than `seconds` (None: no limit)."""
        turn = self._turn()
        if self._events is None or not turn.held:
            with self.away():
                return _readable(sock, seconds)
        number = sock.fileno()
        with self._changing:
            self._answers[number] = turn
            self._events.arm(number)
        return self._called(turn, seconds, lambda: self._answers.pop(number, None) is not None)

    def wait_at(self, gate: "Gate", seconds: float | None) -> bool:
        """Wait without the turn until `gate` is open; False where that took too long."""
        turn = self._turn()
        mine = turn if turn.held else Turn(queues=False)

        def give_up() -> bool:
            if mine in gate.waiting:
                gate.waiting.remove(mine)
            return not gate.is_open

        with self._changing:
            if gate.is_open:
                return True
            gate.waiting.append(mine)
        if mine is turn:
            return self._called(turn, seconds, give_up)
        if mine.come.acquire(timeout=-1 if seconds is None else seconds):
            return True
        with self._changing:
            return not give_up()

    def let_through(self, gate: "Gate") -> None:
        with self._changing:
            gate.is_open = True
            for turn in gate.waiting:
                if turn.queues:
                    self._queues[COMES_BACK].append(turn)
                else:
                    wake(turn)
            gate.waiting.clear()
            if self._holder is None:
                self._pass_on()

    def _called(self, turn: Turn, seconds: float | None, give_up: Callable[[], bool]) -> bool:
        """Let go of the turn until an event calls this thread; False where it took too long.
        `give_up` takes back what was waited for, and is False where that came after all."""
        with self._changing:
            turn.held = False
            if self._holder is turn:
                self._pass_on()
            if turn.held:
                return True
        if self._rest(turn, None if seconds is None else time.monotonic() + seconds):
            return True
        with self._changing:
            late = give_up()
            if late and self._holder is None:
                self._hold(turn)
                return False
            if late:
                self._queues[COMES_BACK].append(turn)
            self._leave_to_others(turn)
        self._queue(turn)
        return not late

    def _rest(self, turn: Turn, deadline: float | None) -> bool:
        """Until the turn comes, and meanwhile watch for all where nobody else does. False where
        it has not come by `deadline`."""
        while not (self._closing and turn in self._resting):
            with self._changing:
                if self._is_unwatched() and not turn.held:
                    self._watcher = turn
            if self._watcher is turn:
                if self._watch(turn, deadline):
                    return True
            elif not turn.come.acquire(timeout=_left(deadline, -1)):
                return False
            elif turn.held:
                return True
            if _left(deadline, 1) == 0:
                break
        return False

    def _watch(self, turn: Turn, deadline: float | None) -> bool:
        """Until somebody has the turn; whether this thread has had it. Who has no request watches
        for as long as anybody waits, whatever the `deadline`."""
        while self._events:
            free = turn in self._resting
            numbers = self._events.poll(WATCH_S if free else _left(deadline, WATCH_S))
            with self._changing:
                self._call(numbers)
                # It may have been called, and have lost the turn again before it woke.
                if self._holder is None and not turn.held:
                    self._pass_on(turn if free else None)
                wanted = free and self._is_waited_for()
                over = _left(deadline, 1) == 0 and not wanted
                if turn.held or self._holder or over or (free and self._closing):
                    if self._watcher is turn:
                        self._watcher = None
                    return turn.held
        return False

    def _look(self) -> None:
        if self._events:
            self._call(self._events.look())

    def _call(self, numbers: list[int]) -> None:
        """Put those whose files have something into the queues."""
        self._looked_at = time.monotonic()
        for number in numbers:
            if turn := self._answers.pop(number, None):
                self._queues[COMES_BACK].append(turn)
            elif found := self._connections.pop(number, None):
                self._queues[COMES].append(found[0])

    def _pass_on(self, free: Turn | None = None) -> None:
        if any(self._queues) and time.monotonic() - self._looked_at > LOOK_S:
            self._look()
        super()._pass_on(free)

    def _hold(self, turn: Turn) -> None:
        super()._hold(turn)
        if turn is self._watcher:
            self._watcher = None
            if self._events and turn is not self._turn():
                self._events.ring()
        if not self._stirred.is_set():
            self._stirred.set()

    def _for(self, connection: Any, free: Turn | None) -> Turn | None:
        turn = free
        if free in self._resting:
            self._resting.remove(free)
        elif turn is None and self._resting:
            turn = self._resting.pop(0 if self._resting[-1] is self._watcher else -1)
        if turn:
            turn.connection = connection
        else:
            self._start()
        return turn

    def _is_unwatched(self) -> bool:
        return self._holder is None and self._watcher is None and self._events is not None

    def _is_waited_for(self) -> bool:
        return bool(self._connections or self._answers)

    def _appoint(self) -> None:
        """Let some thread watch where that is needed and none does."""
        if not self._is_unwatched() or not self._is_waited_for():
            return
        turn = self._resting[-1] if self._resting else next(iter(self._answers.values()), None)
        if turn:
            self._watcher = turn
            wake(turn)
        else:
            self._start()

    def _leave_to_others(self, turn: Turn) -> None:
        """Watch no more, also where this thread has just been told to."""
        if self._watcher is turn:
            self._watcher = None
        self._appoint()

    def _start(self) -> None:
        if not self._closing:
            self._starting = self._starting or self._start_thread()

    def _guard(self) -> None:
        """A thread that looks after what turns alone are no help for."""
        idle = 0
        while not self._closing:
            time.sleep(GUARD_S)
            idle = 0 if self.look_after() else idle + 1
            if idle == GUARDED:
                self._stirred.clear()
                self._stirred.wait()
                idle = 0

    def look_after(self) -> bool:
        """See besides that somebody watches where nobody has the turn."""
        with self._changing:
            if self._watcher is None:
                self._look()
        anybody = super().look_after()
        with self._changing:
            self._appoint()
        return anybody


class Gate:
    """What one thread opens, once, and others wait for."""

    def __init__(self, turns: Turns | None = None) -> None:
        self._turns = turns or TURNS
        self.is_open = False
        self.waiting: list[Turn] = []

    def open(self) -> None:
        self._turns.let_through(self)

    def wait(self, seconds: float | None = None) -> bool:
        """Without the turn; whether it is open. After `seconds` (None: no limit) it may not be."""
        return self.is_open or self._turns.wait_at(self, seconds)


def _left(deadline: float | None, otherwise: float) -> float:
    """Seconds until `deadline`, at least 0; `otherwise` where there is none."""
    return otherwise if deadline is None else max(0.0, deadline - time.monotonic())


def _readable(sock: Any, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


TURNS = Turns()
"""This process's."""
