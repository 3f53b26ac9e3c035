"""What keeps writers apart, whether they are threads of one process or of several."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from itertools import count, repeat
from threading import Barrier, Event
from typing import Any

import pytest

from app.errors import MemoryNotFound, ServiceBusy
from app.security.scopes import Scope
from app.storage.history.database import Database
from app.storage.locks import Locks, ThreadLocks
from app.storage.shared_locks import SharedLocks
from tests import holding
from tests.databases import PostgreSQLPlace
from tests.service import wait_for

NOT_YET = 0.1  # seconds given to what must not happen
SOON = 30  # seconds given to what must happen
ALICE, BOB = {"user_id": "alice"}, {"user_id": "bob"}
ALICE_AT_WORK = {"user_id": "alice", "agent_id": "work"}
WORK = {"agent_id": "work"}
TEA, MILK = "memory-1", "memory-2"

Opening = Callable[[], Locks]


@pytest.fixture(params=["threads", "threads of a process of a fleet", "processes of a fleet"])
def opening(
    request: pytest.FixtureRequest, postgresql_place: PostgreSQLPlace
) -> Iterator[Callable[..., Locks]]:
    """Opens the locks of another writer; `seconds` is how long they wait."""
    if request.param == "threads":
        locks = cache(ThreadLocks)
        yield lambda seconds=SOON: locks(seconds)
        return
    postgresql_place.empty()
    database = Database(postgresql_place.backend())
    of_others = request.param.startswith("processes")
    names = map("process {}".format, count()) if of_others else repeat("process")
    share = cache(lambda name, seconds: SharedLocks(database, lambda: name, seconds))
    yield lambda seconds=SOON: share(next(names), seconds)
    database.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class Holder(holding.Holder):
    soon_s = SOON


@pytest.fixture
def held(pool: ThreadPoolExecutor) -> Callable[[AbstractContextManager[Any]], Holder]:
    def hold(lock: AbstractContextManager[Any]) -> Holder:
        holder = Holder(pool, lock)
        assert holder.holds.wait(SOON)
        return holder

    return hold


def of(scope: Scope) -> Callable[[], Scope]:
    return lambda: scope


CHANGES: dict[str, Callable[[Locks, Scope], AbstractContextManager[None]]] = {
    "change": lambda locks, scope: locks.changing(TEA, of(scope)),
    "add": lambda locks, scope: locks.writing({MILK: scope}),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=[*CHANGES])


class TestMemories:
    def test_of_two_who_change_the_same_one_waits(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        first = held(opening().changing(TEA, of(ALICE)))
        second = Holder(pool, opening().changing(TEA, of(ALICE)))
        assert not second.holds.wait(NOT_YET)
        first.finish()
        assert second.holds.wait(SOON)
        second.finish()

    def test_many_change_others_at_once(self, opening: Opening, pool: ThreadPoolExecutor) -> None:
        together = Barrier(6)

        def change(locks: Locks, number: int) -> None:
            with locks.changing(f"memory {number}", of(ALICE)):
                together.wait(SOON)

        for thread in [pool.submit(change, opening(), number) for number in range(6)]:
            thread.result(SOON)

    def test_a_new_one_is_changed_when_its_add_is_done(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        add = held(opening().writing(dict.fromkeys([TEA, MILK], ALICE)))
        change = Holder(pool, opening().changing(MILK, of(ALICE)))
        assert not change.holds.wait(NOT_YET)
        add.finish()
        assert change.holds.wait(SOON)
        change.finish()

    def test_nothing_is_held_after_a_failure(self, opening: Opening) -> None:
        with pytest.raises(ZeroDivisionError), opening().changing(TEA, of(ALICE)):
            raise ZeroDivisionError
        with opening(0.05).changing(TEA, of(ALICE)):
            pass


class TestScopes:
    @changes
    @pytest.mark.parametrize("scope", [ALICE, WORK, {}], ids=str)
    def test_a_deletion_waits_for_who_writes_there(
        self,
        opening: Opening,
        pool: ThreadPoolExecutor,
        held: Callable[..., Holder],
        change: Any,
        scope: Scope,
    ) -> None:
        writer = held(change(opening(), ALICE_AT_WORK))
        deletion = Holder(pool, opening().deleting(scope))
        assert not deletion.holds.wait(NOT_YET)
        writer.finish()
        assert deletion.holds.wait(SOON)
        deletion.finish()

    @changes
    @pytest.mark.parametrize("scope", [ALICE, WORK, {}], ids=str)
    def test_who_writes_waits_for_a_deletion_of_its_scope(
        self,
        opening: Opening,
        pool: ThreadPoolExecutor,
        held: Callable[..., Holder],
        change: Any,
        scope: Scope,
    ) -> None:
        deletion = held(opening().deleting(scope))
        writer = Holder(pool, change(opening(), ALICE_AT_WORK))
        assert not writer.holds.wait(NOT_YET)
        deletion.finish()
        assert writer.holds.wait(SOON)
        writer.finish()

    @changes
    @pytest.mark.parametrize("other", [BOB, ALICE], ids=str)
    def test_who_writes_elsewhere_does_not_wait(
        self, opening: Opening, held: Callable[..., Holder], change: Any, other: Scope
    ) -> None:
        deletion = held(opening().deleting(ALICE_AT_WORK))
        held(change(opening(), other)).finish()
        deletion.finish()

    @pytest.mark.parametrize(
        ("scope", "waits"), [(ALICE, True), ({}, True), (WORK, True), (BOB, False)], ids=str
    )
    def test_of_two_deletions_that_may_meet_one_waits(
        self,
        opening: Opening,
        pool: ThreadPoolExecutor,
        held: Callable[..., Holder],
        scope: Scope,
        waits: bool,
    ) -> None:
        first = held(opening().deleting(ALICE))
        second = Holder(pool, opening().deleting(scope))
        assert second.holds.wait(NOT_YET if waits else SOON) != waits
        first.finish()
        assert second.holds.wait(SOON)
        second.finish()

    @changes
    def test_a_waiting_deletion_keeps_those_out_who_come_later(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder], change: Any
    ) -> None:
        early = held(opening().writing(dict.fromkeys(["early"], ALICE)))
        deletion = Holder(pool, opening().deleting(ALICE))
        assert not deletion.holds.wait(NOT_YET)
        late = Holder(pool, change(opening(), ALICE))
        assert not late.holds.wait(NOT_YET)
        early.finish()
        assert deletion.holds.wait(SOON)
        deletion.finish()
        assert late.holds.wait(SOON)
        late.finish()

    def test_a_deletion_elsewhere_does_not_wait_for_who_waits_for_one(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        deletion = held(opening().deleting(ALICE))
        writer = Holder(pool, opening().changing(TEA, of(ALICE)))
        assert not writer.holds.wait(NOT_YET)
        held(opening().deleting(BOB)).finish()
        deletion.finish()
        assert writer.holds.wait(SOON)
        writer.finish()

    def test_who_finds_the_memory_gone_is_told_so_and_holds_nothing(
        self, opening: Opening, held: Callable[..., Holder]
    ) -> None:
        def gone() -> Scope:
            raise MemoryNotFound

        deletion = held(opening().deleting(ALICE))
        with pytest.raises(MemoryNotFound), opening().changing(TEA, gone):
            pass
        deletion.finish()
        held(opening().deleting({})).finish()


class TestKeys:
    def test_one_at_a_time_has_a_key(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        first = held(opening().alone("alice"))
        second = Holder(pool, opening().alone("alice"))
        assert not second.holds.wait(NOT_YET)
        held(opening().alone("bob")).finish()
        first.finish()
        assert second.holds.wait(SOON)
        second.finish()

    def test_who_has_a_key_may_write(self, opening: Opening) -> None:
        locks = opening()
        with locks.alone("alice"), locks.writing(dict.fromkeys([TEA], ALICE)):
            pass

    def test_a_key_keeps_no_deletion_waiting(
        self, opening: Opening, held: Callable[..., Holder]
    ) -> None:
        first = held(opening().alone("alice"))
        held(opening().deleting({})).finish()
        first.finish()


class TestTurns:
    """In a fleet each has its turn, and its rows say who waits."""

    @pytest.fixture
    def others(self, postgresql_place: PostgreSQLPlace) -> Iterator[Callable[..., Locks]]:
        postgresql_place.empty()
        database, numbers = Database(postgresql_place.backend()), count()

        def another(seconds: float = SOON) -> Locks:
            process = f"process {next(numbers)}"
            return SharedLocks(database, lambda: process, seconds)

        yield another
        database.close()

    @pytest.fixture
    def queues(
        self, pool: ThreadPoolExecutor, postgresql_place: PostgreSQLPlace
    ) -> Callable[[AbstractContextManager[None]], Holder]:
        """Lets a thread wait, and comes back when it does."""
        numbers = count(1)

        def begin(lock: AbstractContextManager[None]) -> Holder:
            holder, number = Holder(pool, lock), next(numbers)
            wait_for(lambda: self.rows(postgresql_place) == number, SOON)
            return holder

        return begin

    def rows(self, place: PostgreSQLPlace) -> int:
        [(number,)] = place.sql("SELECT count(*) FROM locks")
        return int(number)

    def test_who_waits_is_let_in_by_the_order_of_its_coming(
        self, others: Callable[[], Locks], queues: Callable[..., Holder]
    ) -> None:
        kinds = ["change", "deletion", "add", "change", "add", "deletion"]
        first, *waiting = [queues(LOCKS[kind](others())) for kind in kinds]
        assert first.holds.wait(SOON)
        for one in waiting:
            first.finish()
            assert one.holds.wait(SOON)
            assert not any(later.holds.is_set() for later in waiting[waiting.index(one) + 1 :])
            first = one
        first.finish()

    def test_who_lets_go_and_wants_it_again_comes_after_who_waited(
        self, others: Callable[[], Locks], queues: Callable[..., Holder], pool: ThreadPoolExecutor
    ) -> None:
        mine = others()
        first = queues(mine.changing(TEA, of(ALICE)))
        waiting = queues(others().changing(TEA, of(ALICE)))
        first.finish()
        again = Holder(pool, mine.changing(TEA, of(ALICE)))
        assert waiting.holds.wait(SOON)
        assert not again.holds.wait(NOT_YET)
        waiting.finish()
        assert again.holds.wait(SOON)
        again.finish()

    def test_who_has_waited_too_long_keeps_nobody_waiting(
        self,
        others: Callable[..., Locks],
        queues: Callable[..., Holder],
        postgresql_place: PostgreSQLPlace,
    ) -> None:
        first = queues(others().changing(TEA, of(ALICE)))
        with pytest.raises(ServiceBusy), others(0.05).changing(TEA, of(ALICE)):
            pass
        assert self.rows(postgresql_place) == 1
        first.finish()


LOCKS: dict[str, Callable[[Locks], AbstractContextManager[None]]] = {
    "change": lambda locks: locks.changing(TEA, of(ALICE)),
    "add": lambda locks: locks.writing(dict.fromkeys([TEA], ALICE)),
    "deletion": lambda locks: locks.deleting(ALICE),
    "key": lambda locks: locks.alone("alice"),
}


@pytest.mark.parametrize("kind", [*LOCKS])
def test_who_waits_too_long_is_told_so(
    opening: Callable[..., Locks], held: Callable[..., Holder], kind: str
) -> None:
    first = held(LOCKS[kind](opening(0.05)) if kind == "key" else opening(0.05).deleting({}))
    with pytest.raises(ServiceBusy), LOCKS[kind](opening(0.05)):
        pass
    first.finish()


def test_of_many_who_count_none_is_lost(opening: Opening, pool: ThreadPoolExecutor) -> None:
    counted = [0]

    def add_one(locks: Locks) -> None:
        with locks.changing(TEA, of(ALICE)):
            before = counted[0]
            Event().wait(0.002)
            counted[0] = before + 1

    for thread in [pool.submit(add_one, opening()) for _ in range(16)]:
        thread.result(SOON)
    assert counted == [16]
