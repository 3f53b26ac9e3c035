"""Turns, with real threads: each waits for events, none sleeps."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from app.turns import Turns
from tests.service import wait_for

SOON = 10.0
LONG = 60.0  # a turn that nobody loses while a test runs


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class Worker:
    """A thread that takes a turn, goes away when it is told, comes back, and ends."""

    def __init__(self, pool: ThreadPoolExecutor, turns: Turns, name: str, order: list[str]) -> None:
        self.go, self.come_back, self.end = Event(), Event(), Event()
        self.is_in, self.is_away = Event(), Event()
        self._turns, self._name, self._order = turns, name, order
        self.ended: Future[None] = pool.submit(self._run)

    def _run(self) -> None:
        with self._turns.taken():
            self._order.append(self._name)
            self.is_in.set()
            assert self.go.wait(SOON)
            with self._turns.away():
                self.is_away.set()
                assert self.come_back.wait(SOON)
            self._order.append(f"{self._name} again")
            assert self.end.wait(SOON)

    def free(self) -> None:
        for event in (self.go, self.come_back, self.end):
            event.set()


def waiting(turns: Turns) -> int:
    return sum(map(len, turns._queues))


def test_one_at_a_time(pool: ThreadPoolExecutor) -> None:
    turns, start, inside = Turns(LONG), Barrier(16), [0]

    def work() -> int:
        seen = 0
        start.wait(SOON)
        for _ in range(200):
            with turns.taken():
                inside[0] += 1
                seen = max(seen, inside[0])
                inside[0] -= 1
        return seen

    assert {each.result(SOON) for each in [pool.submit(work) for _ in range(16)]} == {1}


def test_away_lets_the_next_one_in_and_comes_back_after_it(pool: ThreadPoolExecutor) -> None:
    turns, order = Turns(LONG), list[str]()
    first = Worker(pool, turns, "first", order)
    assert first.is_in.wait(SOON)
    second = Worker(pool, turns, "second", order)
    wait_for(lambda: waiting(turns) == 1)
    first.go.set()
    assert second.is_in.wait(SOON)
    first.come_back.set()
    wait_for(lambda: waiting(turns) == 1)
    assert order == ["first", "second"]
    second.free()
    first.end.set()
    first.ended.result(SOON)
    assert order[:3] == ["first", "second", "first again"]
    second.ended.result(SOON)


def test_who_comes_and_who_comes_back_are_served_alternately_and_in_their_order(
    pool: ThreadPoolExecutor,
) -> None:
    turns, order = Turns(LONG), list[str]()
    back = []
    for name in "abc":  # are away, and come back while somebody has the turn
        back.append(Worker(pool, turns, name, order))
        back[-1].go.set()
        assert back[-1].is_away.wait(SOON)
    holder = Worker(pool, turns, "holder", order)
    assert holder.is_in.wait(SOON)
    for count, each in enumerate(back, start=1):
        each.end.set()
        each.come_back.set()
        wait_for(lambda expected=count: waiting(turns) == expected)
    new = []
    for count, name in enumerate("xyz", start=4):
        new.append(Worker(pool, turns, name, order))
        wait_for(lambda expected=count: waiting(turns) == expected)
    served = len(order)
    for each in new:
        each.free()
    holder.free()
    for each in (*new, *back, holder):
        each.ended.result(SOON)
    first_time = [name for name in order[served:] if name in {"x", "y", "z"}]
    again = [name for name in order[served:] if name in {"a again", "b again", "c again"}]
    assert (first_time, again) == (["x", "y", "z"], ["a again", "b again", "c again"])
    kinds = [name in first_time for name in order[served:] if name in {*first_time, *again}]
    assert kinds[:4] in ([True, False, True, False], [False, True, False, True])


def test_who_keeps_a_turn_too_long_goes_on_beside_the_next(pool: ThreadPoolExecutor) -> None:
    turns, order = Turns(0.01), list[str]()
    slow = Worker(pool, turns, "slow", order)
    assert slow.is_in.wait(SOON)
    following = Worker(pool, turns, "following", order)
    assert following.is_in.wait(SOON)  # without slow having let go
    slow.free()
    slow.ended.result(SOON)
    following.free()
    following.ended.result(SOON)


def test_who_lost_a_turn_does_not_end_that_of_another(pool: ThreadPoolExecutor) -> None:
    turns, order = Turns(0.01), list[str]()
    slow = Worker(pool, turns, "slow", order)
    assert slow.is_in.wait(SOON)
    following = Worker(pool, turns, "following", order)
    assert following.is_in.wait(SOON)
    holder = turns._holder
    slow.go.set()
    assert slow.is_away.wait(SOON)
    assert turns._holder is holder
    slow.free()
    following.free()
    for each in (slow, following):
        each.ended.result(SOON)
    assert turns._holder is None


def test_a_holder_may_wait_for_one_who_waits_for_the_turn(pool: ThreadPoolExecutor) -> None:
    turns, held, done = Turns(0.01), Event(), Event()

    def hold() -> None:
        with turns.taken():
            held.set()
            assert done.wait(SOON)

    def finish() -> None:
        assert held.wait(SOON)
        with turns.taken():
            done.set()

    for each in [pool.submit(hold), pool.submit(finish)]:
        each.result(SOON)


def test_a_failure_inside_lets_go(pool: ThreadPoolExecutor) -> None:
    turns = Turns(LONG)
    with pytest.raises(KeyError), turns.taken(), turns.away():
        raise KeyError

    def take() -> bool:
        with turns.taken():
            return True

    assert pool.submit(take).result(SOON)


def test_away_without_a_turn_is_nothing() -> None:
    turns = Turns(LONG)
    with turns.away():
        assert turns._holder is None
    with turns.taken(), turns.away(), turns.away():
        assert turns._holder is None
    assert turns._holder is None
