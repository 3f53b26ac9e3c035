"""Listings and the deletions that none survives in part, of one process and of a fleet."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from app.errors import HistoryUnavailable, ServiceBusy
from app.security.scopes import Scope
from app.storage.history import deletions
from app.storage.history.database import Database
from app.storage.listings import Listing, Listings
from app.storage.payloads import new_id
from app.storage.shared_listings import SharedListings
from tests.databases import Place, PostgreSQLPlace, place_of
from tests.servers.postgresql import PostgreSQLServer
from tests.service import wait_for
from tests.unit.memory.test_operations import ALICE

BOB = {"user_id": "bob"}
SOON = 30  # seconds given to what must happen


class Kind(Protocol):
    def listings(self, seconds: float = SOON) -> Listings:
        """Of a process."""

    def deleting(self, scope: Scope) -> AbstractContextManager[None]:
        """As another writer does."""


class OneProcess:
    def __init__(self) -> None:
        self._all: list[Listings] = []

    def listings(self, seconds: float = SOON) -> Listings:
        self._all = [Listings(seconds)]
        return self._all[0]

    def deleting(self, scope: Scope) -> AbstractContextManager[None]:
        return self._all[0].deleting(scope)


class Fleet:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.database = Database(place.backend())

    def listings(self, seconds: float = SOON, rest_s: float = 0) -> SharedListings:
        return SharedListings(self.database, seconds, rest_s=rest_s)

    @contextmanager
    def deleting(self, scope: Scope) -> Iterator[None]:
        intent = new_id()
        self.database.write(lambda connection: deletions.begin(connection, intent, scope))
        try:
            yield
        finally:
            self.database.write(lambda connection: deletions.end(connection, intent))


@pytest.fixture(params=["workers of one host", "a fleet"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with closing_fleet(request, request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=["one process", "workers of one host", "a fleet"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    if request.param == "one process":
        yield OneProcess()
        return
    with closing_fleet(request, request.param, tmp_path) as made:
        yield made


@contextmanager
def closing_fleet(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[Fleet]:
    database = "postgresql" if kind == "a fleet" else "sqlite"
    made = Fleet(place_of(database, request, folder))
    with closing(made.database):
        yield made


def read(listings: Listings, scope: Scope) -> Listing:
    """One that is whole after its first part, as readers start over until it is."""
    while (listing := listings.open(scope)).is_broken():
        pass
    return listing


@pytest.mark.parametrize(
    ("shown", "deleted", "broken"),
    [
        (ALICE, ALICE, True),
        (ALICE, BOB, False),
        (ALICE, {}, True),
        ({}, ALICE, True),
        (ALICE, {"run_id": "r"}, True),
        (ALICE | {"run_id": "r"}, ALICE, True),
        (ALICE | {"run_id": "r"}, ALICE | {"run_id": "s"}, False),
        (ALICE | {"run_id": "r"}, BOB | {"run_id": "r"}, False),
    ],
    ids=str,
)
class TestAListing:
    def test_is_broken_by_a_deletion_that_it_may_meet(
        self, kind: Kind, shown: Scope, deleted: Scope, broken: bool
    ) -> None:
        listing = kind.listings().open(shown)
        assert not listing.is_broken()
        with kind.deleting(deleted):
            assert listing.is_broken() is broken

    def test_is_broken_by_one_that_began_and_ended_while_it_was_read(
        self, kind: Kind, shown: Scope, deleted: Scope, broken: bool
    ) -> None:
        listing = kind.listings().open(shown)
        assert not listing.is_broken()
        with kind.deleting(deleted):
            pass
        assert listing.is_broken() is broken

    def test_is_whole_when_it_starts_over_once_that_has_ended(
        self, kind: Kind, shown: Scope, deleted: Scope, broken: bool
    ) -> None:
        listings = kind.listings()
        listing = listings.open(shown)
        with kind.deleting(deleted):
            pass
        assert listing.is_broken() is broken
        assert not listings.open(shown).is_broken()


def reading(pool: ThreadPoolExecutor, listings: Listings, scope: Scope) -> "Future[Listing]":
    begun = threading.Event()

    def run() -> Listing:
        begun.set()
        return read(listings, scope)

    future = pool.submit(run)
    assert begun.wait(SOON)
    return future


def test_a_reader_waits_for_a_deletion_that_it_would_meet(kind: Kind) -> None:
    listings = kind.listings()
    with ThreadPoolExecutor(1) as pool:
        with kind.deleting(ALICE):
            assert not read(listings, BOB).is_broken()
            waiting = reading(pool, listings, {})
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        assert not waiting.result(SOON).is_broken()


def test_a_reader_waits_for_all_of_several_deletions(kind: Kind) -> None:
    listings = kind.listings()
    with ThreadPoolExecutor(1) as pool:
        with kind.deleting(ALICE):
            with kind.deleting({"agent_id": "work"}):
                waiting = reading(pool, listings, ALICE)
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.1)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        assert not waiting.result(SOON).is_broken()


def test_who_has_waited_too_long_is_told_to_come_again(kind: Kind) -> None:
    listings = kind.listings(seconds=0.05)
    with kind.deleting({}), pytest.raises(ServiceBusy):
        read(listings, ALICE)


def test_a_deletion_that_fails_lets_the_others_go_on(kind: Kind) -> None:
    listings = kind.listings()
    with pytest.raises(OSError, match="full"), kind.deleting(ALICE):
        raise OSError("full")
    assert not read(listings, ALICE).is_broken()


class TestAReader:
    def test_that_was_given_nothing_starts_over(self, kind: Kind) -> None:
        listings = kind.listings()
        starts = []

        def read() -> Iterator[str]:
            starts.append("")
            if len(starts) == 1:
                with kind.deleting(ALICE):
                    pass
                yield "a part"
            yield from ("all", "of it")

        assert [*listings.unbroken(ALICE, read)] == ["all", "of it"]

    def test_that_was_given_a_part_is_broken_off(self, kind: Kind) -> None:
        parts = kind.listings().unbroken(ALICE, lambda: iter(["all", "of it"]))
        assert next(parts) == "all"
        with kind.deleting(ALICE):
            pass
        with pytest.raises(ServiceBusy):
            next(parts)

    def test_that_meets_one_deletion_after_the_other_gives_up(self, kind: Kind) -> None:
        def read() -> Iterator[str]:
            with kind.deleting(ALICE):
                pass
            yield "a part"

        with pytest.raises(ServiceBusy):
            kind.listings().unbroken(ALICE, read)


class TestInAFleet:
    def test_nobody_waits_for_a_deletion_that_others_have_waited_for_too_long(
        self, fleet: Fleet
    ) -> None:
        listings = fleet.listings(seconds=0.3)
        with fleet.deleting(ALICE):
            with pytest.raises(ServiceBusy):
                read(listings, ALICE)
            with ThreadPoolExecutor(16) as pool:
                told = [pool.submit(listings.open, ALICE) for _ in range(200)]
                assert all(isinstance(one.exception(SOON), ServiceBusy) for one in told)
            assert not read(listings, BOB).is_broken()
        assert not read(listings, ALICE).is_broken()

    def test_a_deletion_that_ended_before_is_met_by_nobody(self, fleet: Fleet) -> None:
        listings = fleet.listings()
        with fleet.deleting(ALICE):
            pass
        fleet.place.sql("UPDATE deletions SET ended_at = ended_at - 2")
        assert not listings.open(ALICE).is_broken()

    def test_one_of_a_deletion_that_ended_long_after_it_was_read_last_is_broken(
        self, fleet: Fleet
    ) -> None:
        """As by a client that takes what it asked for slowly."""
        listing = fleet.listings().open(ALICE)
        assert not listing.is_broken()
        with fleet.deleting(ALICE):
            pass
        fleet.place.sql("UPDATE deletions SET ended_at = ended_at - 1000")
        listing._whole_until -= 1001
        assert listing.is_broken()

    def test_one_that_was_not_asked_for_in_the_time_that_rows_are_kept_is_broken(
        self, fleet: Fleet
    ) -> None:
        listing = fleet.listings().open(ALICE)
        listing._whole_until -= deletions.KEPT_S
        assert listing.is_broken()

    def test_rows_are_dropped_after_a_while_and_ended_where_nobody_is_at_them(
        self, fleet: Fleet
    ) -> None:
        stored = deletions.Deletions(fleet.database)
        with fleet.deleting(ALICE):
            stored.sweep()
            rows = "SELECT user_id, ended_at IS NOT NULL FROM deletions ORDER BY seq"
            assert fleet.place.sql(rows) == [("alice", True)]
        fleet.place.sql("UPDATE deletions SET ended_at = ended_at - 7200")
        with fleet.deleting(BOB):
            stored.sweep()
            assert fleet.place.sql(rows) == [("bob", True)]


@pytest.fixture
def own() -> Iterator[PostgreSQLServer]:
    with PostgreSQLServer() as server:
        yield server


def test_while_postgresql_is_away_readers_go_on_unless_they_know_of_a_deletion(
    own: PostgreSQLServer,
) -> None:
    fleet = Fleet(PostgreSQLPlace(own))
    listings = fleet.listings(seconds=0.05, rest_s=0.1)
    with closing(fleet.database):
        with fleet.deleting(ALICE):
            with pytest.raises(ServiceBusy):
                read(listings, ALICE)
            meanwhile = listings.open(BOB)
            own.stop(signal.SIGQUIT)
            assert not meanwhile.is_broken()
            with pytest.raises(HistoryUnavailable):
                listings.open(ALICE)
            own.start()
        with fleet.deleting(BOB):
            pass
        wait_for(meanwhile.is_broken, SOON)
