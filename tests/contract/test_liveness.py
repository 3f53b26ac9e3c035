"""Who is alive: by locks on files, and by leases in PostgreSQL."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Connection

from app.errors import HistoryUnavailable, VectorStoreTimeout
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.messages import Messages
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.rows import History
from app.storage.journal.journal import Journal
from app.storage.journal.leases import Leases
from app.storage.journal.liveness import FileLocks, Liveness
from app.storage.journal.writer import Writer
from tests.databases import PostgreSQLPlace
from tests.histories import add, row
from tests.service import wait_for
from tests.unit.memory.test_operations import ALICE
from tests.unit.storage.test_journal import EMBEDDER, MoodyStore, adding


class Neighbours(Protocol):
    """Processes of one history."""

    def opened(self) -> Liveness: ...

    def die(self, process: Liveness) -> None:
        """As by kill -9, some time ago."""


class OnFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._living: list[FileLocks] = []

    def opened(self) -> FileLocks:
        self._living.append(FileLocks(self._folder))
        return self._living[-1]

    def die(self, process: Liveness) -> None:
        assert isinstance(process, FileLocks)
        process._life.close()

    def close(self) -> None:
        for process in self._living:
            process.close()


class OnLeases:
    def __init__(self, place: PostgreSQLPlace) -> None:
        self.place = place
        self._living: list[tuple[Leases, Database]] = []

    def opened(self, steady_s: float = 0) -> Leases:
        backend = PostgreSQL(self.place.url, connections=4)
        database = Database(backend)
        made = Leases(database, backend.renewals(), renew_s=0.05, steady_s=steady_s)
        self._living.append((made, database))
        return made

    def database(self, process: Leases) -> Database:
        return next(database for one, database in self._living if one is process)

    def stop(self, process: Leases) -> None:
        """It does not renew any more, as one that gets no processor; for longer than its lease."""
        process._end.set()
        process._thread.join()
        past = "UPDATE processes SET renewed_at = renewed_at - interval '1 hour' WHERE id = ?"
        self.place.sql(past, process.process)

    def go_on(self, process: Leases) -> None:
        process._end.clear()
        process._thread = threading.Thread(target=process._run, daemon=True)
        process._thread.start()

    def die(self, process: Liveness) -> None:
        assert isinstance(process, Leases)
        self.stop(process)

    def close(self) -> None:
        for process, database in self._living:
            process.close()
            database.close()


@pytest.fixture
def leases(postgresql_place: PostgreSQLPlace) -> Iterator[OnLeases]:
    postgresql_place.empty()
    made = OnLeases(postgresql_place)
    yield made
    made.close()


@pytest.fixture(params=["files", "leases"])
def neighbours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Neighbours]:
    if request.param == "leases":
        yield request.getfixturevalue("leases")
        return
    made = OnFiles(tmp_path)
    yield made
    made.close()


def seems_dead(process: Liveness, other: str) -> bool:
    looked = bool(process.dead_among([other]))
    with process.if_dead(other) as dead:
        assert dead == looked
        return dead


def test_who_lives_is_not_dead_and_may_write(neighbours: Neighbours) -> None:
    one, other = neighbours.opened(), neighbours.opened()
    assert one.process != other.process
    assert not seems_dead(one, other.process)
    assert not seems_dead(one, one.process)
    one.check()
    assert not one.is_lost


def test_who_was_killed_is_dead(neighbours: Neighbours) -> None:
    one, other = neighbours.opened(), neighbours.opened()
    neighbours.die(other)
    assert one.dead_among([one.process, other.process]) == [other.process]
    assert seems_dead(one, other.process)


def test_who_ended_is_dead_at_once(neighbours: Neighbours) -> None:
    one, other = neighbours.opened(), neighbours.opened()
    other.close()
    assert seems_dead(one, other.process)


def test_who_was_never_there_is_dead(neighbours: Neighbours) -> None:
    assert seems_dead(neighbours.opened(), "of another time")


def test_a_dead_one_is_recovered_by_one_at_a_time(neighbours: Neighbours) -> None:
    one, other, third = neighbours.opened(), neighbours.opened(), neighbours.opened()
    neighbours.die(third)
    with (
        one.if_dead(third.process) as first,
        other.if_dead(third.process) as second,
        one.if_dead(third.process) as again,
    ):
        assert (first, second, again) == (True, False, False)


def test_what_one_could_not_recover_another_may(neighbours: Neighbours) -> None:
    one, other, third = neighbours.opened(), neighbours.opened(), neighbours.opened()
    neighbours.die(third)

    def fail() -> None:
        with one.if_dead(third.process) as dead:
            assert dead
            neighbours.die(one)
            raise OSError("amid the recovery")

    with pytest.raises(OSError, match="amid"):
        fail()
    assert seems_dead(other, third.process)


class TestLeases:
    def test_who_is_taken_for_dead_writes_no_more(self, leases: OnLeases) -> None:
        one, other = leases.opened(), leases.opened()
        history = History(leases.database(other))
        add(history, row())
        leases.stop(other)
        add(history, row())  # nobody wanted to know
        with one.if_dead(other.process) as dead:
            assert dead
            with pytest.raises(HistoryUnavailable, match="take it for dead"):
                add(history, row())
        with pytest.raises(HistoryUnavailable, match="take it for dead"):
            add(history, row())
        assert len(history.get_history("m")) == 2
        leases.go_on(other)
        wait_for(lambda: other.is_lost)
        with pytest.raises(HistoryUnavailable, match="take it for dead"):
            other.check()

    def test_who_begins_anew_is_another_and_writes(self, leases: OnLeases) -> None:
        one, other = leases.opened(), leases.opened()
        before, token = other.process, other.token
        leases.stop(other)
        assert seems_dead(one, before)
        leases.go_on(other)
        wait_for(lambda: other.is_lost)
        other.begin_anew()
        assert other.process != before
        assert token
        assert other.token
        assert other.token > token
        other.check()
        add(History(leases.database(other)), row())
        assert not seems_dead(one, other.process)

    def test_a_write_under_way_ends_before_its_process_is_dead(self, leases: OnLeases) -> None:
        one, other = leases.opened(), leases.opened()
        database = leases.database(other)
        begun, go = threading.Event(), threading.Event()

        def slowly(connection: Connection) -> None:
            begun.set()
            assert go.wait(30)

        with ThreadPoolExecutor() as pool:
            writing = pool.submit(database.write, slowly)
            assert begun.wait(30)
            leases.stop(other)
            taking = pool.submit(seems_dead, one, other.process)
            wait_for(lambda: waits_for_a_lock(leases.place))
            assert not taking.done()
            go.set()
            writing.result(30)
            assert taking.result(30)

    def test_an_intent_is_looked_for_when_all_writes_of_its_process_have_ended(
        self, leases: OnLeases
    ) -> None:
        """Also those of which nobody knows any more what becomes of them."""
        database = leases.database(leases.opened())
        intents = Intents(database)
        begun, go = threading.Event(), threading.Event()
        insert = "INSERT INTO intents (id, process, done, body) VALUES ('i', 'p', false, '')"

        def slowly(connection: Connection) -> None:
            connection.exec_driver_sql(insert)
            begun.set()
            assert go.wait(30)

        with ThreadPoolExecutor() as pool:
            writing = pool.submit(database.write, slowly)
            assert begun.wait(30)
            cancelling = pool.submit(intents.cancel, "i")
            wait_for(lambda: waits_for_a_lock(leases.place))
            go.set()
            writing.result(30)
            cancelling.result(30)
        assert intents.of("p") == []

    def test_who_has_just_come_takes_nobody_for_dead(self, leases: OnLeases) -> None:
        """The others may have been away with the server that it now finds."""
        one, other = leases.opened(steady_s=3600), leases.opened()
        leases.stop(other)
        assert not seems_dead(one, other.process)

    def test_rows_of_those_that_were_killed_long_ago_are_dropped(self, leases: OnLeases) -> None:
        one = leases.opened()
        leases.stop(one)
        other = leases.opened()
        assert {id_ for (id_,) in leases.place.sql("SELECT id FROM processes")} == {
            one.process,
            other.process,
        }
        leases.place.sql(
            "UPDATE processes SET renewed_at = renewed_at - interval '2 days' WHERE id = ?",
            one.process,
        )
        third = leases.opened()
        ids = {id_ for (id_,) in leases.place.sql("SELECT id FROM processes")}
        assert ids == {other.process, third.process}
        assert seems_dead(third, one.process)

    def test_a_clock_that_was_set_back_keeps_no_dead_one_alive(self, leases: OnLeases) -> None:
        one, other = leases.opened(), leases.opened()
        other._end.set()
        other._thread.join()
        later = "UPDATE processes SET renewed_at = renewed_at + interval '1 hour' WHERE id = ?"
        leases.place.sql(later, other.process)
        assert seems_dead(one, other.process)

    def test_a_token_that_came_again_is_not_its_own(self, leases: OnLeases) -> None:
        one = leases.opened()
        leases.place.sql("UPDATE processes SET id = 'another' WHERE id = ?", one.process)
        wait_for(lambda: one.is_lost)
        with pytest.raises(HistoryUnavailable, match="take it for dead"):
            leases.database(one).write(lambda _: None)

    def test_what_keeps_it_from_being_renewed_is_told(self, leases: OnLeases) -> None:
        one = leases.opened()
        one.check_renewal()
        leases.place.sql("ALTER TABLE processes RENAME TO processed")
        try:
            wait_for(lambda: one._why)
            with pytest.raises(HistoryUnavailable, match="has lost a table"):
                one.check_renewal()
            one.check()  # as long as its lease lasts
            one._renewed -= 3600
            with pytest.raises(HistoryUnavailable, match="has lost a table"):
                one.check()
        finally:
            leases.place.sql("ALTER TABLE processed RENAME TO processes")
        wait_for(lambda: not one._why)
        one.check_renewal()

    def test_who_cannot_renew_writes_no_more_once_its_lease_is_over(self, leases: OnLeases) -> None:
        one = leases.opened()
        one.check()
        one._renewed -= 3600
        one._end.set()
        with pytest.raises(HistoryUnavailable, match="not reached"):
            one.check()


def test_what_one_that_was_taken_for_dead_was_unsure_about_is_settled_once(
    leases: OnLeases, tmp_path: Path
) -> None:
    store = MoodyStore(tmp_path / "qdrant")
    store.prepare(EMBEDDER)
    one, other = leases.opened(), leases.opened()
    database = leases.database(other)
    journal = Journal(database, other, flushes=False)
    writer = Writer(store, Messages(database), journal)
    memory_id, intent = adding()
    store.mood = "after"
    with pytest.raises(VectorStoreTimeout):
        writer.add(ALICE, intent)
    store.mood = ""
    leases.stop(other)
    Journal(leases.database(one), one, flushes=False).recover(store)
    leases.go_on(other)
    wait_for(lambda: other.is_lost)
    with pytest.raises(HistoryUnavailable, match="take it for dead"):
        writer.add(ALICE, adding()[1])
    writer.begin_anew_if_lost()
    assert journal.unsure == 0
    another, intent = adding()
    writer.add(ALICE, intent)
    history = History(database)
    for id_ in (memory_id, another):
        assert [found["event"] for found in history.get_history(id_)] == ["ADD"]
    store.close()


def waits_for_a_lock(place: PostgreSQLPlace) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return place.sql(waiting) != [(0,)]
