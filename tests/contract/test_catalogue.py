"""Which memories there are and whose, and how far that is known, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.security.scopes import MAX_ID, Scope
from app.storage.history import catalogue, tombstones
from app.storage.history.catalogue import Catalogue, entry
from app.storage.history.database import Database
from app.storage.history.filling import Filling
from app.storage.history.intents import Intents
from app.storage.history.parts import Part
from app.storage.history.together import Finished, NewIntent
from app.storage.payloads import Payload, new_payload
from tests.databases import Place
from tests.histories import row

ALICE, BOB = {"user_id": "alice"}, {"user_id": "bob"}
TODAY = datetime.now(UTC).date()
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
ASKING = 8


@pytest.fixture
def filling(database: Database) -> Filling:
    return Filling(database)


@pytest.fixture
def complete(filling: Filling) -> Filling:
    filling.claim("p", None)
    assert filling.complete("p")
    return filling


@pytest.fixture
def memories(database: Database) -> Catalogue:
    return Catalogue(database)


@pytest.fixture
def intents(database: Database) -> Intents:
    return Intents(database, catalogued=True)


@pytest.fixture
def earlier(place: Place) -> Callable[[], None]:
    """Lets a process begin that is of an earlier version."""

    def begin() -> None:
        add = "INSERT INTO processes (id, renewed_at) VALUES ('old', ?)"
        place.sql(add, datetime.now(UTC).isoformat())

    return begin


def of(scope: Scope, expires: Any = None) -> Payload:
    return new_payload("tea", scope, {"expiration_date": expires} if expires else {})


def bring(filling: Filling, **memories: Payload | None) -> None:
    filling.bring(memories)


def total(memories: Catalogue, scope: Scope | None = None, *, show_expired: bool = True) -> Any:
    return memories.total(scope or {}, show_expired=show_expired)


def users(memories: Catalogue, scope: Scope | None = None, limit: int = 100) -> Any:
    return memories.values("user_id", scope or {}, limit, show_expired=False)


@pytest.mark.usefixtures("complete")
class TestCounting:
    def test_is_of_a_scope(self, filling: Filling, memories: Catalogue) -> None:
        bring(filling, a=of(ALICE), b=of(ALICE | {"run_id": "r"}), c=of(BOB))
        assert [total(memories, one) for one in ({}, ALICE, BOB)] == [3, 2, 1]
        assert total(memories, ALICE | {"run_id": "r"}) == 1
        assert total(memories, {"agent_id": "alice"}) == 0

    def test_is_without_what_has_expired_unless_it_is_asked_for(
        self, filling: Filling, memories: Catalogue
    ) -> None:
        dates = {"a": YESTERDAY, "b": TODAY, "c": TOMORROW}
        bring(filling, **{id_: of(ALICE, f"{date}") for id_, date in dates.items()})
        bring(filling, d=of(ALICE), e=of(ALICE, "some day"))
        assert total(memories, ALICE) == 5
        assert total(memories, ALICE, show_expired=False) == 4
        assert users(memories) == [("alice", 4)]

    def test_of_times_goes_by_their_day_in_utc(self, filling: Filling, memories: Catalogue) -> None:
        bring(filling, a=of(ALICE, f"{TODAY}T00:30:00+01:00"), b=of(BOB, f"{TODAY}T00:30:00"))
        assert users(memories) == [("bob", 1)]

    def test_gives_the_most_frequent_values_first_and_then_goes_by_their_characters(
        self, filling: Filling, memories: Catalogue
    ) -> None:
        names = ["b", "é", "B", "a", "龙", "a-", "aa"]
        bring(filling, **{f"{n}": of({"user_id": name}) for n, name in enumerate(names)})
        bring(filling, x=of({"user_id": "z"}), y=of({"user_id": "z"}), of_none=of({"run_id": "r"}))
        assert users(memories) == [("z", 2), *((name, 1) for name in sorted(names))]
        assert users(memories, limit=2) == [("z", 2), ("B", 1)]

    def test_of_values_keeps_within_a_scope(self, filling: Filling, memories: Catalogue) -> None:
        bring(filling, a=of(ALICE | {"run_id": "r"}), b=of(ALICE | {"run_id": "s"}), c=of(BOB))
        runs = memories.values("run_id", ALICE, 9, show_expired=True)
        assert runs == [("r", 1), ("s", 1)]
        assert users(memories, {"run_id": "s"}) == [("alice", 1)]

    def test_knows_a_memory_of_an_id_that_is_too_long_to_be_asked_for(
        self, filling: Filling, memories: Catalogue
    ) -> None:
        bring(filling, a=of({"user_id": "u" * MAX_ID}), b=of({"user_id": "u" * 10_000}))
        assert total(memories) == 2
        assert users(memories) == [("u" * MAX_ID, 1)]


class TestRows:
    def test_take_the_place_of_earlier_ones(self, filling: Filling, memories: Catalogue) -> None:
        bring(filling, a=of(ALICE), b=of(ALICE), c=of(BOB))
        bring(filling, a=of(BOB, f"{TODAY}"), b=None)
        assert memories.between(None, None, 9) == {
            "a": entry(of(BOB, f"{TODAY}")),
            "c": entry(of(BOB)),
        }

    def test_are_given_from_one_id_until_before_another(
        self, filling: Filling, memories: Catalogue
    ) -> None:
        bring(filling, **{id_: of(ALICE) for id_ in "edcba"})
        assert [*memories.between("b", "e", 9)] == ["b", "c", "d"]
        assert [*memories.between("b", None, 2)] == ["b", "c"]
        assert [*memories.between(None, "b", 9)] == ["a"]

    def test_of_an_id_that_was_given_leave_those_that_are_there(
        self, database: Database, filling: Filling, memories: Catalogue
    ) -> None:
        bring(filling, a=of(BOB))
        again = {"a": of(ALICE), "b": of(ALICE)}
        database.write(lambda given: catalogue.follow(given, again, given_ids=True))
        assert memories.between(None, None, 9) == {"a": entry(of(BOB)), "b": entry(of(ALICE))}

    def test_of_what_arrived_late_are_none(
        self, database: Database, filling: Filling, memories: Catalogue
    ) -> None:
        bring(filling, b=of(ALICE))
        database.write(lambda connection: tombstones.keep(connection, ["a", "b"]))
        bring(filling, a=of(ALICE), b=of(ALICE), c=of(ALICE))
        assert [*memories.between(None, None, 9)] == ["c"]

    def test_of_many_are_brought_and_dropped(self, filling: Filling, memories: Catalogue) -> None:
        many = [f"{n:04}" for n in range(1200)]
        bring(filling, **{id_: of(ALICE) for id_ in many})
        bring(filling, **dict.fromkeys(many[1:]))
        assert [*memories.between(None, None, 9)] == ["0000"]


class TestFilling:
    def test_until_it_is_complete_nothing_is_counted(
        self, filling: Filling, memories: Catalogue
    ) -> None:
        bring(filling, a=of(ALICE))
        assert (total(memories), users(memories)) == (None, None)
        filling.claim("p", None)
        assert (total(memories), users(memories)) == (None, None)
        filling.complete("p")
        assert (total(memories), users(memories)) == (1, [("alice", 1)])

    def test_of_many_processes_one_makes_it(self, filling: Filling) -> None:
        for before in (None, "dead"):
            names = [f"{before}-{n}" for n in range(ASKING)]
            with ThreadPoolExecutor(ASKING) as pool:
                mine = [*pool.map(lambda name: filling.claim(name, before), names)]  # noqa: B023
            assert mine.count(True) == 1
            filling.claim("dead", filling.progress().process)

    def test_goes_on_where_another_process_has_come_to(self, filling: Filling) -> None:
        filling.claim("p", None)
        assert filling.advance("p", "some id", 1000)
        assert filling.claim("q", "p")
        assert not filling.advance("p", "another id", 2000)
        assert not filling.complete("p")
        assert filling.progress() == ("q", "some id", 1000, False)

    def test_may_be_begun_again_by_anybody(self, complete: Filling, memories: Catalogue) -> None:
        bring(complete, a=of(ALICE))
        complete.begin_again()
        assert total(memories) is None
        assert complete.claim("q", None)
        complete.begin_again()  # what another has begun goes on
        assert complete.progress().process == "q"
        assert complete.complete("q")
        assert total(memories) == 1

    def test_is_not_complete_beside_a_process_of_an_earlier_version(
        self,
        filling: Filling,
        intents: Intents,
        memories: Catalogue,
        place: Place,
        earlier: Callable[[], None],
    ) -> None:
        earlier()
        filling.claim("p", None)
        assert filling.has_to_wait()
        assert not filling.complete("p")
        assert intents.processes() == ["old"]  # so whoever finds it dead takes it away
        place.sql("DELETE FROM processes")
        assert filling.complete("p")
        earlier()
        assert total(memories) is None


@pytest.mark.usefixtures("complete")
class TestIntents:
    def begun(self, intents: Intents, **options: Any) -> int:
        return intents.begin("p", NewIntent("i", 2, "{}"), **options)

    def finished(self, intents: Intents, **leaves: Payload | None) -> None:
        intents.finish(Finished(self.begun(intents), [], leaves=leaves), keep=False)

    def test_bring_what_they_leave(self, intents: Intents, memories: Catalogue) -> None:
        self.finished(intents, a=of(ALICE), b=of(ALICE))
        self.finished(intents, a=of(ALICE, f"{YESTERDAY}"))
        assert users(memories) == [("alice", 1)]
        self.finished(intents, b=None)
        assert total(memories) == 1

    def test_that_were_finished_before_bring_nothing(
        self, intents: Intents, memories: Catalogue
    ) -> None:
        number = self.begun(intents)
        intents.finish(Finished(number, [], leaves={"a": of(ALICE)}), keep=True)
        self.finished(intents, a=None)
        intents.finish(Finished(number, [], leaves={"a": of(ALICE)}), keep=True)
        assert total(memories) == 0

    def test_of_a_batch_bring_what_each_leaves(self, intents: Intents, memories: Catalogue) -> None:
        new = [NewIntent(f"{n}", 2, "{}", None) for n in range(3)]
        numbers = intents.begin_all("p", new)
        intents.finish(Finished(numbers[0], []), keep=False)
        all_ = [Finished(number, [], None, [], {f"m{number}": of(ALICE)}) for number in numbers]
        intents.finish_all(all_, keep=False)
        assert [*memories.between(None, None, 9)] == [f"m{number}" for number in numbers[1:]]

    def test_that_delete_take_the_memories_of_all_their_parts(
        self, intents: Intents, memories: Catalogue
    ) -> None:
        self.finished(intents, **{id_: of(ALICE) for id_ in "abcd"})
        number = self.begun(intents, first=Part(["a", "b"], [row("a")]), collecting=True)
        intents.append(number, Part(["c"], []))
        intents.complete(number, "i")
        intents.finish_deletion(number, ALICE, keep=False, purge=False)
        assert [*memories.between(None, None, 9)] == ["d"]

    def test_of_a_reset_take_everything(self, intents: Intents, memories: Catalogue) -> None:
        self.finished(intents, a=of(ALICE), b=of(BOB))
        number = self.begun(intents, first=Part(["a"], []))
        intents.finish_deletion(number, {}, keep=False, purge=False)
        assert memories.between(None, None, 9) == {}
        assert total(memories) == 0

    def test_of_a_single_process_bring_nothing(
        self, database: Database, memories: Catalogue
    ) -> None:
        self.finished(Intents(database), a=of(ALICE))
        assert total(memories) == 0
