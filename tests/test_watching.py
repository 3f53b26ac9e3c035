"""Turns while connections are served: one thread watches for all, with real sockets and threads."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from app.turns import Gate, Turns
from tests.service import wait_for

SOON = 10.0
MOMENT = 0.05


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class Desk:
    """Turns with connections, each of which sends what `answer` shall be called with."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int = 16, seconds: float = 60.0) -> None:
        self.turns = Turns(seconds)
        self.answer: Callable[[bytes], None] = lambda _: None
        self.answered: list[bytes] = []
        self.serving: list[Future[None]] = []
        self.ended: list[Any] = []
        self._pool = pool
        self._threads = threads
        self._sockets: list[socket.socket] = []
        self.turns.open(self._start)

    def _start(self) -> bool:
        if sum(not each.done() for each in self.serving) >= self._threads:
            return False
        self.serving.append(self._pool.submit(self._serve))
        return True

    def _serve(self) -> None:
        while connection := self.turns.next(SOON):
            said = connection.sock.recv(100)
            if not said:
                continue
            self.answer(said)
            self.answered.append(said)
            self.turns.watch(connection, SOON)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        self._sockets += [ours, theirs]
        return ours, theirs

    def connect(self, seconds: float = SOON) -> socket.socket:
        """The client's end of a connection that is watched."""
        ours, theirs = self.pair()
        self.turns.watch(SimpleNamespace(sock=ours), seconds)
        return theirs

    def close(self) -> None:
        self.turns.close()
        for each in self.serving:
            each.result(SOON)
        for each in self._sockets:
            each.close()
        assert self.turns._events
        self.turns._events.close()


@pytest.fixture
def desk(pool: ThreadPoolExecutor) -> Iterator[Desk]:
    opened = Desk(pool)
    yield opened
    opened.close()


def held(desk: Desk, work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with desk.turns.taken():
            return work()

    return run


def test_an_answer_is_waited_for_without_the_turn(desk: Desk, pool: ThreadPoolExecutor) -> None:
    ours, theirs = desk.pair()
    waiting = pool.submit(held(desk, lambda: desk.turns.readable(ours, SOON)))
    wait_for(lambda: desk.turns._answers)
    assert pool.submit(held(desk, lambda: "meanwhile")).result(SOON) == "meanwhile"
    theirs.send(b"!")
    assert waiting.result(SOON) is True


def test_an_answer_that_does_not_come_is_waited_for_so_long(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    ours, _ = desk.pair()
    assert pool.submit(held(desk, lambda: desk.turns.readable(ours, MOMENT))).result(SOON) is False
    assert not desk.turns._answers
    assert desk.turns._holder is None


def test_each_gets_its_own_answer_and_one_at_a_time_goes_on(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    inside = [0]
    pairs = [desk.pair() for _ in range(20)]

    def work(ours: socket.socket) -> Callable[[], Any]:
        def wait() -> tuple[bytes, int]:
            assert desk.turns.readable(ours, SOON)
            inside[0] += 1
            said, seen = ours.recv(100), inside[0]
            inside[0] -= 1
            return said, seen

        return held(desk, wait)

    waiting = [pool.submit(work(ours)) for ours, _ in pairs]
    wait_for(lambda: len(desk.turns._answers) == len(pairs))
    for number, (_, theirs) in reversed([*enumerate(pairs)]):
        theirs.send(b"%d" % number)
    assert [each.result(SOON) for each in waiting] == [(b"%d" % n, 1) for n in range(20)]


@pytest.mark.parametrize("opener_has_a_turn", [True, False])
def test_a_gate_lets_all_through_that_wait(
    desk: Desk, pool: ThreadPoolExecutor, opener_has_a_turn: bool
) -> None:
    gate = Gate(desk.turns)
    waiting = [pool.submit(held(desk, lambda: gate.wait(SOON))) for _ in range(5)]
    waiting += [pool.submit(gate.wait, SOON) for _ in range(5)]  # threads that take no turns
    wait_for(lambda: len(gate.waiting) == 10)
    pool.submit(held(desk, gate.open) if opener_has_a_turn else gate.open).result(SOON)
    assert [each.result(SOON) for each in waiting] == [True] * 10
    assert gate.wait(0)


@pytest.mark.parametrize("has_a_turn", [True, False])
def test_a_gate_that_stays_closed_is_waited_at_so_long(
    desk: Desk, pool: ThreadPoolExecutor, has_a_turn: bool
) -> None:
    gate = Gate(desk.turns)

    def wait() -> bool:
        return gate.wait(MOMENT)

    assert pool.submit(held(desk, wait) if has_a_turn else wait).result(SOON) is False
    assert gate.waiting == []
    assert desk.turns._holder is None


def test_who_watches_while_it_waits_at_a_gate_is_let_through(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    """The gate is opened by somebody for whom there was nothing to watch."""
    gate = Gate(desk.turns)
    for _ in range(20):
        waiting = pool.submit(held(desk, lambda gate=gate: gate.wait(SOON)))
        wait_for(lambda gate=gate: gate.waiting and desk.turns._watcher)
        gate.open()
        assert waiting.result(0.5)
        gate = Gate(desk.turns)


def test_who_lost_the_turn_before_it_woke_goes_on_all_the_same(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    """On a busy machine the guard may be faster than a thread that was called."""
    gate = Gate(desk.turns)
    waiting = pool.submit(held(desk, lambda: gate.wait(SOON)))
    wait_for(lambda: gate.waiting and desk.turns._watcher)
    with desk.turns._changing:
        gate.is_open = True
        desk.turns._queues[1].append(gate.waiting.pop())
        desk.turns._pass_on()
        desk.turns._pass_on()  # as the guard does
    assert waiting.result(SOON / 4)


def test_who_has_answered_one_connection_takes_the_next(desk: Desk) -> None:
    clients = [desk.connect() for _ in range(10)]
    for count, each in enumerate(clients * 3, start=1):
        each.send(b"x")
        wait_for(lambda count=count: len(desk.answered) == count)
    assert len(desk.serving) == 1  # since nobody waited for anything


def test_a_thread_that_waits_serves_nobody_and_others_do(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    ours, theirs = desk.pair()
    slow, quick = desk.connect(), desk.connect()
    desk.answer = lambda said: None if said == b"quick" else assert_(desk.turns.readable(ours, 10))
    slow.send(b"slow")
    wait_for(lambda: desk.turns._answers)
    for count in range(1, 6):
        quick.send(b"quick")
        wait_for(lambda count=count: desk.answered == [b"quick"] * count)
    theirs.send(b"!")
    wait_for(lambda: desk.answered[-1] == b"slow")
    assert len(desk.serving) == 2


def assert_(true: bool) -> None:
    assert true


def test_no_more_threads_than_may_be_and_what_comes_then_waits(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, threads=2)
    gate = Gate(desk.turns)
    desk.answer = lambda _: assert_(gate.wait(SOON))
    clients = [desk.connect() for _ in range(5)]
    for number, each in enumerate(clients):
        each.send(b"%d" % number)
    wait_for(lambda: len(gate.waiting) == 2)
    gate.open()
    wait_for(lambda: len(desk.answered) == 5)
    assert sorted(desk.answered) == [b"0", b"1", b"2", b"3", b"4"]
    desk.close()


@pytest.mark.parametrize("marked", [True, False])
def test_a_wait_somewhere_else_holds_up_nobody(pool: ThreadPoolExecutor, marked: bool) -> None:
    """Neither one that is marked, with nobody left to watch, nor one that is not."""
    desk = Desk(pool, seconds=0.01)
    waits, over = threading.Event(), threading.Event()

    def answer(said: bytes) -> None:
        if said == b"quick":
            return
        waits.set()
        if marked:
            with desk.turns.away():
                assert over.wait(SOON)
        else:
            assert over.wait(SOON)

    desk.answer = answer
    slow, quick = desk.connect(), desk.connect()
    slow.send(b"slow")
    assert waits.wait(SOON)
    quick.send(b"quick")
    wait_for(lambda: desk.answered == [b"quick"])
    over.set()
    wait_for(lambda: desk.answered == [b"quick", b"slow"])
    desk.close()


def test_a_connection_that_sends_nothing_is_given_up(desk: Desk) -> None:
    silent, busy = desk.connect(seconds=MOMENT), desk.connect()
    found = wait_for(lambda: desk.turns.silent())
    silent.send(b"too late")
    busy.send(b"in time")
    wait_for(lambda: desk.answered)
    assert desk.answered == [b"in time"]
    assert len(found) == 1


def test_one_whose_next_request_is_there_already_is_served_in_its_turn(desk: Desk) -> None:
    ours, theirs = desk.pair()
    theirs.send(b"first")
    connection = SimpleNamespace(sock=ours)
    desk.turns.ready(connection)
    wait_for(lambda: desk.answered == [b"first"])


def test_threads_without_a_request_go_when_it_closes(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool)
    gate = Gate(desk.turns)
    desk.answer = lambda _: assert_(gate.wait(SOON))
    for each in [desk.connect() for _ in range(4)]:
        each.send(b"x")
    wait_for(lambda: len(gate.waiting) == 4)
    gate.open()
    wait_for(lambda: len(desk.answered) == 4)
    desk.turns.close()
    for each in desk.serving:
        each.result(1)
    desk.close()
