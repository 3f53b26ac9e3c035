"""The locks, with real threads: each waits for events, none sleeps."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import pytest

from app.errors import ServiceBusy
from app.security.scopes import Scope
from app.storage.locks import KeyedLock, ScopeLock
from tests.holding import Holder
from tests.service import wait_for

NOT_YET = 0.1  # seconds given to what must not happen
SOON = 10  # seconds given to what must happen


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


ALICE, BOB = {"user_id": "alice"}, {"user_id": "bob"}
ALICE_AT_WORK = {"user_id": "alice", "agent_id": "work"}


def of(scope: Scope) -> Callable[[], Scope]:
    return lambda: scope


class TestScopeLock:
    def test_many_share_it_at_once(self, pool: ThreadPoolExecutor) -> None:
        lock, together = ScopeLock(), Barrier(8)

        def share() -> None:
            with lock.shared(of(ALICE)):
                together.wait(SOON)  # passes only when all eight are inside

        for thread in [pool.submit(share) for _ in range(8)]:
            thread.result(SOON)

    @pytest.mark.parametrize("scope", [ALICE, {}])
    def test_exclusive_waits_for_every_sharer(self, pool: ThreadPoolExecutor, scope: Scope) -> None:
        lock = ScopeLock()
        first = Holder(pool, lock.shared(of(ALICE_AT_WORK)))
        second = Holder(pool, lock.shared(of(ALICE)))
        assert first.holds.wait(SOON)
        assert second.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive(scope), letting_go=True)
        first.finish()
        assert not alone.holds.wait(NOT_YET)
        second.finish()
        assert alone.holds.wait(SOON)

    @pytest.mark.parametrize(
        ("memory", "waits"), [(ALICE, True), (ALICE_AT_WORK, True), (BOB, False)], ids=str
    )
    def test_a_sharer_waits_for_who_deletes_its_scope_alone(
        self, pool: ThreadPoolExecutor, memory: Scope, waits: bool
    ) -> None:
        lock = ScopeLock()
        alone = Holder(pool, lock.exclusive(ALICE))
        assert alone.holds.wait(SOON)
        other = Holder(pool, lock.shared(of(memory)), letting_go=True)
        assert other.holds.wait(NOT_YET if waits else SOON) != waits
        alone.finish()
        assert other.holds.wait(SOON)

    @pytest.mark.parametrize("scope", [ALICE, BOB, {}], ids=str)
    def test_who_writes_to_several_scopes_and_a_deletion_of_one_wait_for_each_other(
        self, pool: ThreadPoolExecutor, scope: Scope
    ) -> None:
        lock = ScopeLock()
        several = lock.shared_by_all(lambda: [ALICE, BOB])
        first = Holder(pool, several)
        assert first.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive(scope))
        wait_for(lambda: lock._alone)
        late = Holder(pool, lock.shared_by_all(lambda: [ALICE, BOB]), letting_go=True)
        assert not alone.holds.wait(NOT_YET)
        first.finish()
        assert alone.holds.wait(SOON)
        assert not late.holds.wait(NOT_YET)
        alone.finish()
        assert late.holds.wait(SOON)

    @pytest.mark.parametrize("scope", [ALICE, BOB], ids=str)
    def test_who_writes_to_several_scopes_beside_a_deletion_of_another_holds_each_of_them(
        self, pool: ThreadPoolExecutor, scope: Scope
    ) -> None:
        lock = ScopeLock()
        other = Holder(pool, lock.exclusive({"user_id": "carol"}))
        assert other.holds.wait(SOON)
        several = Holder(pool, lock.shared_by_all(lambda: [ALICE, BOB]))
        assert several.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive(scope), letting_go=True)
        assert not alone.holds.wait(NOT_YET)
        several.finish()
        assert alone.holds.wait(SOON)
        other.finish()

    @pytest.mark.parametrize(
        ("scope", "waits"),
        [(ALICE, True), ({}, True), ({"agent_id": "work"}, True), (BOB, False)],
        ids=str,
    )
    def test_of_two_deletions_that_may_meet_one_waits(
        self, pool: ThreadPoolExecutor, scope: Scope, waits: bool
    ) -> None:
        lock = ScopeLock()
        alone = Holder(pool, lock.exclusive(ALICE))
        assert alone.holds.wait(SOON)
        other = Holder(pool, lock.exclusive(scope), letting_go=True)
        assert other.holds.wait(NOT_YET if waits else SOON) != waits
        alone.finish()
        assert other.holds.wait(SOON)

    def test_a_waiting_exclusive_one_keeps_new_sharers_out(self, pool: ThreadPoolExecutor) -> None:
        lock = ScopeLock()
        early = Holder(pool, lock.shared(of(ALICE)))
        assert early.holds.wait(SOON)
        alone = Holder(pool, lock.exclusive(ALICE))
        wait_for(lambda: lock._alone)
        late = Holder(pool, lock.shared(of(ALICE)), letting_go=True)
        assert not late.holds.wait(NOT_YET)
        assert not alone.holds.is_set()
        early.finish()
        assert alone.holds.wait(SOON)
        assert not late.holds.is_set()
        alone.finish()
        assert late.holds.wait(SOON)

    def test_waiting_exclusive_ones_are_let_in_one_at_a_time(
        self, pool: ThreadPoolExecutor
    ) -> None:
        lock, inside, most = ScopeLock(), [0], [0]
        counting = Lock()

        def alone() -> None:
            with lock.exclusive(ALICE):
                with counting:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                Event().wait(0.01)  # so that one who should not be here would be met
                with counting:
                    inside[0] -= 1

        with lock.shared(of(ALICE)):
            waiting = [pool.submit(alone) for _ in range(8)]
            wait_for(lambda: len(lock._alone) == 8)
        for thread in waiting:
            thread.result(SOON)
        assert most == [1]

    def test_who_waits_too_long_is_told_and_leaves_no_trace(self) -> None:
        lock = ScopeLock(seconds=0.05)
        with lock.shared(of(ALICE)), pytest.raises(ServiceBusy), lock.exclusive(ALICE):
            pass
        with lock.exclusive(ALICE), pytest.raises(ServiceBusy), lock.shared(of(ALICE)):
            pass
        with lock.exclusive({}), pytest.raises(ServiceBusy), lock.exclusive(BOB):
            pass
        assert lock._alone == lock._sharing == []

    @pytest.mark.parametrize("kind", ["shared", "exclusive"])
    def test_an_exception_inside_lets_go(self, kind: str) -> None:
        lock = ScopeLock()
        inside = {"shared": lock.shared(of(ALICE)), "exclusive": lock.exclusive(ALICE)}[kind]
        with pytest.raises(KeyError), inside:
            raise KeyError
        assert lock._alone == lock._sharing == []

    def test_whose_memory_it_is_is_asked_only_where_it_matters(
        self, pool: ThreadPoolExecutor
    ) -> None:
        asked: list[int] = []

        def scope() -> Scope:
            asked.append(1)
            return BOB

        lock = ScopeLock()
        with lock.shared(scope):
            assert asked == []
        alone = Holder(pool, lock.exclusive(ALICE))
        assert alone.holds.wait(SOON)
        with lock.shared(scope):
            assert asked == [1]
        alone.finish()


class TestKeyedLock:
    def test_equal_keys_take_turns(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        first = Holder(pool, lock.holding(["memory"]))
        assert first.holds.wait(SOON)
        second = Holder(pool, lock.holding(["".join(["mem", "ory"])]), letting_go=True)
        assert not second.holds.wait(NOT_YET)
        first.finish()
        assert second.holds.wait(SOON)

    def test_other_keys_do_not_wait(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        with lock.holding(["mine"]):
            others = [Holder(pool, lock.holding([str(n)]), letting_go=True) for n in range(5)]
            assert all(other.holds.wait(SOON) for other in others)

    def test_who_came_before_comes_first(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        first = Holder(pool, lock.holding(["a", "b"]))
        assert first.holds.wait(SOON)
        second = Holder(pool, lock.holding(["b", "c"]))
        assert not second.holds.wait(NOT_YET)
        third = Holder(pool, lock.holding(["c"]))
        assert Holder(pool, lock.holding(["d"]), letting_go=True).holds.wait(SOON)
        assert not third.holds.wait(NOT_YET)
        first.finish()
        assert second.holds.wait(SOON)
        assert not third.holds.wait(NOT_YET)
        second.finish()
        assert third.holds.wait(SOON)
        third.finish()

    def test_who_waits_too_long_is_told(self) -> None:
        lock = KeyedLock(seconds=0.05)
        with lock.holding(["memory"]), pytest.raises(ServiceBusy), lock.holding(["memory"]):
            pass
        with lock.holding(["memory"]):
            pass

    def test_an_exception_inside_lets_go(self, pool: ThreadPoolExecutor) -> None:
        lock = KeyedLock()
        with pytest.raises(KeyError), lock.holding(["memory"]):
            raise KeyError
        assert Holder(pool, lock.holding(["memory"]), letting_go=True).holds.wait(SOON)
