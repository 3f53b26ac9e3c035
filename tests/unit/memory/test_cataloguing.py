"""The catalogue of a fleet and what is in its store: filled beside writes, the same after each."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.memory.cataloguing import Cataloguing
from app.memory.comparing import Comparison
from app.memory.totals import OfCatalogue
from app.storage.history.catalogue import Catalogue, entry
from app.storage.history.database import Database
from app.storage.history.filling import Filling
from app.storage.history.moving import move
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.sqlite import SQLite
from app.storage.journal.writes import Deletion, Write
from app.storage.payloads import Payload, changed_payload, history_row, new_id, new_payload, today
from app.storage.vectors.filters import Filter
from tests.databases import Place, PostgreSQLPlace, SQLitePlace
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import wait_for
from tests.unit.storage.test_shared_journal import (
    ALICE,
    ALL,
    EAST,
    EMBEDDER,
    Process,
    SlowStore,
    several,
)

BOB = {"user_id": "bob"}
LONG_AGO = "2020-02-02"


class WatchedStore(SlowStore):
    """Lets something happen between what is read and what is done about it."""

    meanwhile: Callable[[], Any] | None = None

    def _owned(self, after: str | None, limit: int) -> tuple[dict[str, Payload], str | None]:
        found = super()._owned(after, limit)
        self._happens()
        return found

    def _count(self, where: Filter) -> int:
        found = super()._count(where)
        self._happens()
        return found

    def _happens(self) -> None:
        if happens := self.meanwhile:
            self.meanwhile = None
            happens()


class Member(Process):
    """A process of a fleet, and how it counts."""

    store: WatchedStore

    def __init__(
        self, qdrant: QdrantServer, place: Place, folder: Path, *, shared: bool = True
    ) -> None:
        super().__init__(qdrant, place, folder, WatchedStore, shared=shared)
        self.catalogue, self.filling = Catalogue(self.database), Filling(self.database)
        self.cataloguing = self.looking()
        self.comparison = self.comparing()
        self.totals = OfCatalogue(self.catalogue, self.store, self.cataloguing, self.comparison)

    def looking(self, page: int = 1000) -> Cataloguing:
        return Cataloguing(self.store, self.writer, self.catalogue, self.filling, page)

    def comparing(self) -> Comparison:
        return Comparison(self.store, self.history, self.catalogue, self.filling)

    def close(self) -> None:
        self.totals.close()
        super().close()

    def fills(self, cataloguing: Cataloguing | None = None) -> None:
        (cataloguing or self.cataloguing).look()
        wait_for(lambda: self.filling.progress().complete, 30)

    def rows(self) -> dict[str, Any]:
        return self.catalogue.between(None, None, 10_000)

    def stored(self) -> dict[str, Any]:
        return {one.id: entry(one.payload) for one in self.store.scan(ALL)}

    def brings(self, number: int, **metadata: Any) -> list[str]:
        """Memories as mem0 itself makes them: nothing but the store knows of them."""
        made = {new_id(): (EAST, new_payload("tea", BOB, metadata)) for _ in range(number)}
        self.store.put(made)
        return [*made]

    def expires(self, id_: str, date: str) -> None:
        with self.writer.alone_with(id_, lambda: self.find(id_)) as old:
            new = changed_payload(old, None, {"expiration_date": date})
            self.writer.write(Write([history_row("UPDATE", id_, old, new)], {id_: (None, new)}))

    def imports(self, id_: str) -> None:
        payload = new_payload("tea", ALICE, {})
        row = history_row("ADD", id_, None, payload)
        write = Write([row], {id_: (EAST, payload)}, embedder=EMBEDDER, given_ids=True)
        with self.writer.alone_with_many({id_: ALICE}):
            self.writer.write(write)

    def adds_several(self, number: int) -> None:
        adds = []
        for _ in range(number):
            id_, payload = new_id(), new_payload("tea", ALICE, {})
            row = history_row("ADD", id_, None, payload)
            adds.append((ALICE, Write([row], {id_: (EAST, payload)}, embedder=EMBEDDER)))
        self.writer.add_all(adds)


@pytest.fixture(scope="module")
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as running:
        yield running


@pytest.fixture
def opening(
    qdrant: QdrantServer, postgresql_place: PostgreSQLPlace, tmp_path: Path
) -> Iterator[Callable[[], Member]]:
    with several(Member, qdrant, postgresql_place, tmp_path) as another:
        yield another


@pytest.fixture
def first(opening: Callable[[], Member]) -> Member:
    return opening()


@pytest.fixture
def second(opening: Callable[[], Member]) -> Member:
    return opening()


class Closing(socketserver.BaseRequestHandler):
    """Of a port that hangs up, and counts for whom."""

    callers: ClassVar[list[Any]] = []

    def handle(self) -> None:
        self.callers.append(self.client_address)


def test_while_the_database_is_away_the_store_counts_and_not_each_reader_asks_it(
    first: Member,
) -> None:
    first.fills()
    first.add("tea")
    with socketserver.TCPServer(("127.0.0.1", 0), Closing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"postgresql://u:p@127.0.0.1:{server.server_address[1]}/d?sslmode=disable"
        with closing(Database(PostgreSQL(url, connections=1))) as away:
            totals = OfCatalogue(
                Catalogue(away), first.store, first.cataloguing, first.comparison, rest_s=600
            )
            asked = []
            for _ in range(3):
                assert totals.values("user_id", {}, 9, show_expired=True) == [("alice", 1)]
                assert totals.total({}, show_expired=True) == 1
                assert totals.total(ALICE, show_expired=True) == 1
                asked.append(len(Closing.callers))
        server.shutdown()
    assert asked[0] == asked[-1] > 0


class TestPass:
    def test_fills_in_what_only_the_store_knows(self, first: Member) -> None:
        first.brings(130)
        first.brings(2, expiration_date=LONG_AGO)
        assert first.totals.total(BOB, show_expired=False) == 130  # counted by the store
        assert "vector store" in (first.totals.note() or "")
        first.fills()
        assert first.rows() == first.stored()
        assert first.totals.total({}, show_expired=True) == 132
        assert first.totals.values("user_id", {}, 9, show_expired=False) == [("bob", 130)]
        assert first.totals.note() is None

    def test_of_nothing_is_complete_at_once(self, first: Member) -> None:
        first.fills()
        assert first.totals.total({}, show_expired=True) == 0

    def test_goes_page_by_page(self, first: Member) -> None:
        first.brings(25)
        first.fills(first.looking(page=4))
        assert first.rows() == first.stored()
        assert first.filling.progress().seen == 24  # up to the last page

    def test_brings_nothing_back_that_is_deleted_meanwhile(
        self, first: Member, second: Member
    ) -> None:
        gone = first.add("tea")
        kept = first.add("milk")
        first.filling.bring({gone: None})
        second.store.meanwhile = lambda: first.delete(gone)
        second.fills()
        assert [*second.rows()] == [kept]

    def test_brings_nothing_back_of_a_scope_that_is_deleted_meanwhile(
        self, first: Member, second: Member
    ) -> None:
        first.brings(3)
        second.store.meanwhile = lambda: first.delete_all(BOB)
        second.fills()
        assert second.rows() == {}

    def test_misses_nothing_that_is_added_or_changed_meanwhile(
        self, first: Member, second: Member
    ) -> None:
        [id_] = first.brings(1)

        def meanwhile() -> None:
            first.add("milk")
            first.expires(id_, LONG_AGO)

        second.store.meanwhile = meanwhile
        second.fills()
        assert second.rows() == second.stored()
        assert second.totals.total({}, show_expired=False) == 1

    def test_takes_away_what_the_store_has_not(self, first: Member) -> None:
        first.add("tea")
        first.filling.bring({new_id(): new_payload("ghost", ALICE, {}) for _ in range(90)})
        first.fills(first.looking(page=4))
        assert first.rows() == first.stored()

    def test_leaves_out_what_arrived_late_and_is_about_to_be_deleted(
        self, first: Member, second: Member
    ) -> None:
        first.stops(lambda: first.add("tea"))
        second.settles()
        first.store.go_on()
        assert len(second.stored()) == 1
        second.fills()
        assert second.rows() == {}
        second.settles()
        assert second.stored() == {}

    def test_is_gone_on_with_where_its_process_died(self, first: Member, second: Member) -> None:
        first.brings(9)
        [start, *_] = sorted(first.stored())
        first.filling.claim(first.journal.process, None)
        there, after = first.store.owned(None, 5)
        first.filling.bring({id_: first.find(id_) for id_ in there})
        first.filling.advance(first.journal.process, after or "", 5)
        second.cataloguing.look()
        assert second.filling.progress().process == first.journal.process
        first.journal.close()
        first.filling.bring({start: None})  # nobody looks there again
        second.fills()
        assert second.rows().keys() == second.stored().keys() - {start}

    def test_waits_for_processes_of_an_earlier_version(
        self, first: Member, postgresql_place: PostgreSQLPlace
    ) -> None:
        old = "INSERT INTO processes (id, renewed_at) VALUES ('old', now())"
        postgresql_place.sql(old)
        first.brings(1)
        first.cataloguing.look()
        assert first.filling.progress().process is None
        assert "earlier version" in (first.totals.note() or "")
        postgresql_place.sql("DELETE FROM processes")
        first.fills()
        postgresql_place.sql(old)
        first.cataloguing.look()
        assert not first.filling.progress().complete

    def test_begins_again_where_a_process_of_an_earlier_version_comes_in_between(
        self, first: Member, postgresql_place: PostgreSQLPlace
    ) -> None:
        first.brings(2)
        first.filling.claim(first.journal.process, None)
        first.filling.advance(first.journal.process, new_id(), 1)
        postgresql_place.sql("INSERT INTO processes (id, renewed_at) VALUES ('old', now())")
        first.cataloguing.look()
        assert first.filling.progress().after is None
        postgresql_place.sql("DELETE FROM processes")
        first.fills()
        assert first.rows() == first.stored()


class TestOfWhatWasThereBefore:
    """Memories of a server mode whose history moves, and of a fleet of an earlier version."""

    @pytest.fixture
    def own(self, postgresql: PostgreSQLServer, qdrant: QdrantServer) -> PostgreSQLPlace:
        qdrant.wipe()
        return PostgreSQLPlace(postgresql)

    def test_a_history_that_was_moved_comes_with_no_catalogue(
        self, own: PostgreSQLPlace, qdrant: QdrantServer, tmp_path: Path
    ) -> None:
        single = SQLitePlace(tmp_path / "history.db")
        with closing(Member(qdrant, single, tmp_path, shared=False)) as server_mode:
            server_mode.add("tea")
            server_mode.imports(new_id())
            assert server_mode.rows() == {}
        move(SQLite(single.path), PostgreSQL(own.url, connections=2), lambda *_: None)
        with closing(Member(qdrant, own, tmp_path)) as member:
            member.fills()
            assert member.totals.values("user_id", {}, 9, show_expired=True) == [("alice", 2)]
            member.totals.look_after()
            assert member.totals.note() is None

    def test_a_database_of_version_6_gets_one(
        self, own: PostgreSQLPlace, qdrant: QdrantServer, tmp_path: Path
    ) -> None:
        with closing(Member(qdrant, own, tmp_path)) as member:
            member.add("tea")
        back_to_version_6(own)
        own.sql("INSERT INTO processes (id, renewed_at) VALUES ('of 6', now())")
        with closing(Member(qdrant, own, tmp_path)) as member:
            member.add("milk")
            member.cataloguing.look()
            assert member.totals.total({}, show_expired=True) == 2  # counted by the store
            assert len(member.rows()) == 1
            own.sql("DELETE FROM processes WHERE id = 'of 6'")
            member.fills()
            assert member.rows() == member.stored()


def back_to_version_6(place: PostgreSQLPlace) -> None:
    for table in ("catalogue", "catalogue_filling", "deletions"):
        place.sql(f"DROP TABLE {table}")
    place.sql("ALTER TABLE processes DROP COLUMN schema_version")
    place.sql("UPDATE schema_version SET version = 6")


class TestComparison:
    def test_of_what_agrees_says_nothing(self, first: Member) -> None:
        first.add("tea")
        first.fills()
        first.comparison.look()
        assert first.comparison.note is None

    def test_has_the_catalogue_filled_again_where_the_store_has_others(self, first: Member) -> None:
        first.fills()
        first.brings(3)
        assert first.totals.total({}, show_expired=True) == 0
        first.comparison.look()
        assert "3 memories, the history knows 0" in (first.totals.note() or "")
        assert first.totals.total({}, show_expired=True) == 3  # counted by the store
        first.fills()
        assert first.rows() == first.stored()

    def test_waits_until_nobody_writes(self, first: Member, second: Member) -> None:
        second.fills()
        id_ = first.add("tea")
        first.stops(lambda: first.delete(id_))
        [other] = second.brings(1)
        second.comparison.look()
        assert second.comparison.note is None
        second.settles()
        second.store.meanwhile = lambda: second.add("milk")
        second.comparison.look()
        assert second.comparison.note is None
        second.filling.bring({other: second.find(other)})
        second.comparison.look()
        assert second.comparison.note is None

    def test_of_a_history_that_was_moved_is_made_with_its_events(self, first: Member) -> None:
        first.brings(2)
        first.comparison.look()
        assert "2 memories, the history knows 0" in (first.comparison.note or "")


class TestWrites:
    """What they leave, and what others finish of them, is in the catalogue as in the store."""

    @pytest.fixture
    def members(self, first: Member, second: Member) -> tuple[Member, Member]:
        first.fills()
        return first, second

    def test_of_every_kind(self, members: tuple[Member, Member]) -> None:
        first, second = members
        one, two, three = [first.add(text) for text in ("tea", "milk", "water")]
        first.expires(one, LONG_AGO)
        second.expires(two, today())
        second.change(three, "wine", whole=True)
        first.adds_several(3)
        second.imports(new_id())
        first.delete(two)
        assert first.rows() == first.stored()
        assert first.totals.total(ALICE, show_expired=True) == 6
        assert second.totals.total(ALICE, show_expired=False) == 5
        first.add("of another", BOB)
        second.delete_all(ALICE)
        assert first.rows() == first.stored()
        assert second.totals.values("user_id", {}, 9, show_expired=True) == [("bob", 1)]
        second.writer.reset()
        assert first.rows() == first.stored() == {}

    def test_of_chosen_memories(self, members: tuple[Member, Member]) -> None:
        first, _ = members
        kept, gone = first.add("tea"), first.add("milk")
        chosen = Deletion(ALICE, chosen=True)
        first.writer.delete(chosen, lambda: iter(first.store.get_many([gone])))
        assert [*first.rows()] == [kept]

    @pytest.mark.parametrize("kind", ["add", "add_all", "import", "change", "delete", "delete_all"])
    def test_that_were_cut_off(self, members: tuple[Member, Member], kind: str) -> None:
        first, second = members
        id_ = first.add("tea")
        writes: dict[str, Callable[[], Any]] = {
            "add": lambda: first.add("milk"),
            "add_all": lambda: first.adds_several(3),
            "import": lambda: first.imports(new_id()),
            "change": lambda: first.expires(id_, LONG_AGO),
            "delete": lambda: first.delete(id_),
            "delete_all": lambda: first.delete_all(ALICE),
        }
        first.stops(writes[kind])
        second.settles()
        assert second.rows() == second.stored()
        first.store.go_on()
        second.settles()
        assert second.rows() == second.stored()
        assert second.filling.progress().complete
