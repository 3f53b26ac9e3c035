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


def of(*scopes: Scope) -> Callable[[], list[Scope]]:
    return lambda: [*scopes]


CHANGES: dict[str, Callable[[Locks, Scope], AbstractContextManager[None]]] = {
    "change": lambda locks, scope: locks.changing(of(scope), [TEA]),
    "add": lambda locks, scope: locks.adding({MILK: scope}),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=[*CHANGES])


class TestMemories:
    def test_of_two_who_change_the_same_one_waits(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        first = held(opening().changing(of(ALICE), [TEA]))
        second = Holder(pool, opening().changing(of(ALICE), [TEA]))
        assert not second.holds.wait(NOT_YET)
        first.finish()
        assert second.holds.wait(SOON)
        second.finish()

    def test_many_change_others_at_once(self, opening: Opening, pool: ThreadPoolExecutor) -> None:
        together = Barrier(6)

        def change(locks: Locks, number: int) -> None:
            with locks.changing(of(ALICE), [f"memory {number}"]):
                together.wait(SOON)

        for thread in [pool.submit(change, opening(), number) for number in range(6)]:
            thread.result(SOON)

    def test_a_new_one_is_changed_when_its_add_is_done(
        self, opening: Opening, pool: ThreadPoolExecutor, held: Callable[..., Holder]
    ) -> None:
        add = held(opening().adding(dict.fromkeys([TEA, MILK], ALICE)))
        change = Holder(pool, opening().changing(of(ALICE), [MILK]))
        assert not change.holds.wait(NOT_YET)
        add.finish()
        assert change.holds.wait(SOON)
        change.finish()

    def test_nothing_is_held_after_a_failure(self, opening: Opening) -> None:
        with pytest.raises(ZeroDivisionError), opening().changing(of(ALICE), [TEA]):
            raise ZeroDivisionError
        with opening(0.05).changing(of(ALICE), [TEA]):
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
        early = held(opening().adding(dict.fromkeys(["early"], ALICE)))
        deletion = Holder(pool, opening().deleting(ALICE))
        assert not deletion.holds.wait(NOT_YET)
        late = Holder(pool, change(opening(), ALICE))
        assert not late.holds.wait(NOT_YET)
        early.finish()
        assert deletion.holds.wait(SOON)
        deletion.finish()
        assert late.holds.wait(SOON)
        late.finish()

    def test_who_finds_the_memory_gone_is_told_so_and_holds_nothing(
        self, opening: Opening, held: Callable[..., Holder]
    ) -> None:
        def gone() -> list[Scope]:
            raise MemoryNotFound

        deletion = held(opening().deleting(ALICE))
        with pytest.raises(MemoryNotFound), opening().changing(gone, [TEA]):
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
        with locks.alone("alice"), locks.adding(dict.fromkeys([TEA], ALICE)):
            pass

    def test_a_key_keeps_no_deletion_waiting(
        self, opening: Opening, held: Callable[..., Holder]
    ) -> None:
        first = held(opening().alone("alice"))
        held(opening().deleting({})).finish()
        first.finish()


LOCKS: dict[str, Callable[[Locks], AbstractContextManager[None]]] = {
    "change": lambda locks: locks.changing(of(ALICE), [TEA]),
    "add": lambda locks: locks.adding(dict.fromkeys([TEA], ALICE)),
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
        with locks.changing(of(ALICE), [TEA]):
            before = counted[0]
            Event().wait(0.002)
            counted[0] = before + 1

    for thread in [pool.submit(add_one, opening()) for _ in range(16)]:
        thread.result(SOON)
    assert counted == [16]
