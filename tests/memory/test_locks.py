"""The locks, with real threads: each waits for events, none sleeps."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier, Event
from typing import Any

import pytest

from app.memory.locks import KeyedLock, SharedLock
from tests.service import wait_for

NOT_YET = 0.1  # seconds given to what must not happen
SOON = 10  # seconds given to what must happen


class Holder:
    """A thread that takes a lock, tells so, and holds it until it is told to let go."""

    def __init__(
        self, pool: ThreadPoolExecutor, lock: AbstractContextManager[Any], letting_go: bool = False
    ) -> None:
        self.holds = Event()
        self.let_go = Event()
        if letting_go:
            self.let_go.set()
        self.ended: Future[None] = pool.submit(self._run, lock)

    def _run(self, lock: AbstractContextManager[Any]) -> None:
        with lock:
            self.holds.set()
            assert self.let_go.wait(SOON)

    def finish(self) -> None:
        self.let_go.set()
        self.ended.result(SOON)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class TestSharedLock:
    def test_many_hold_it_shared_at_once(self, pool: ThreadPoolExecutor) -> None:
        lock, together = SharedLock(), Barrier(8)

        def share() -> None:
            with lock.shared():
                together.wait(SOON)  # passes only when all eight are inside

        for thread in [pool.submit(share) for _ in range(8)]:
            thread.result(SOON)

    def test_exclusive_waits_for_every_shared_one(self, pool: ThreadPoolExecutor) -> None:
        lock = SharedLock()
        first, second = Holder(pool, lock.shared()), Holder(pool, lock.shared())
        assert first.holds.wait(SOON)
        assert second.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive(), letting_go=True)
        first.finish()
        assert not alone.holds.wait(NOT_YET)
        second.finish()
        assert alone.holds.wait(SOON)

    @pytest.mark.parametrize("kind", ["shared", "exclusive"])
    def test_nobody_enters_beside_an_exclusive_one(
        self, pool: ThreadPoolExecutor, kind: str
    ) -> None:
        lock = SharedLock()
        alone = Holder(pool, lock.exclusive())
        assert alone.holds.wait(SOON)
        other = Holder(pool, getattr(lock, kind)(), letting_go=True)
        assert not other.holds.wait(NOT_YET)
        alone.finish()
        assert other.holds.wait(SOON)

    def test_a_waiting_exclusive_one_keeps_new_shared_ones_out(
        self, pool: ThreadPoolExecutor
    ) -> None:
        lock = SharedLock()
        early = Holder(pool, lock.shared())
        assert early.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive())

        def kept_out() -> Holder | None:
            """A newcomer that does not get in: so the exclusive one is waiting by now."""
            newcomer = Holder(pool, lock.shared(), letting_go=True)
            return None if newcomer.holds.wait(NOT_YET) else newcomer

        late = wait_for(kept_out)
        assert not alone.holds.is_set()
        early.finish()
        assert alone.holds.wait(SOON)
        assert not late.holds.is_set()
        alone.finish()
        assert late.holds.wait(SOON)

    def test_waiting_exclusive_ones_all_get_their_turn(self, pool: ThreadPoolExecutor) -> None:
        lock, inside, seen = SharedLock(), [0], []

        def alone() -> None:
            with lock.exclusive():
                inside[0] += 1
                seen.append(inside[0])
                inside[0] -= 1

        with lock.shared():
            waiting = [pool.submit(alone) for _ in range(8)]
        for thread in waiting:
            thread.result(SOON)
        assert seen == [1] * 8

    @pytest.mark.parametrize("failing", ["shared", "exclusive"])
    def test_an_exception_inside_lets_go(self, pool: ThreadPoolExecutor, failing: str) -> None:
        lock = SharedLock()
        with pytest.raises(KeyError), getattr(lock, failing)():
            raise KeyError
        alone = Holder(pool, lock.exclusive())
        assert alone.holds.wait(SOON)
        alone.finish()


class TestKeyedLock:
    def test_equal_keys_take_turns(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        first = Holder(pool, lock["memory"])
        assert first.holds.wait(SOON)
        second = Holder(pool, lock["".join(["mem", "ory"])], letting_go=True)
        assert not second.holds.wait(NOT_YET)
        first.finish()
        assert second.holds.wait(SOON)

    def test_other_keys_do_not_wait(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        mine = lock["memory"]
        with mine:
            others = [key for key in map(str, range(100)) if lock[key] is not mine]
            assert len(others) > 90
            for key in others[:5]:
                assert Holder(pool, lock[key], letting_go=True).holds.wait(SOON)

    def test_an_exception_inside_lets_go(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        with pytest.raises(KeyError), lock["memory"]:
            raise KeyError
        assert Holder(pool, lock["memory"], letting_go=True).holds.wait(SOON)

    def test_any_number_of_keys_needs_no_more_locks(self) -> None:
        lock = KeyedLock(stripes=4)
        assert len({id(lock[str(number)]) for number in range(1000)}) == 4
