"""Two processes that share a history and a Qdrant server, one of which comes late with a write."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from qdrant_client import QdrantClient

from app.embeddings import EmbedderInfo
from app.errors import MemoryNotFound, ServiceBusy, VectorStoreRefused, VectorStoreTimeout
from app.security.scopes import Scope
from app.storage.history.database import Database
from app.storage.history.messages import Messages
from app.storage.history.parts import Part
from app.storage.history.rows import History
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Deletion, Write
from app.storage.payloads import Payload, changed_payload, history_row, new_id, new_payload
from app.storage.vectors.filters import in_scope
from app.storage.vectors.server import Options, ServerStore
from app.storage.vectors.server.connection import Connection
from tests.contract.test_listings import read
from tests.databases import Place, PostgreSQLPlace
from tests.servers.qdrant import QdrantServer
from tests.service import wait_for

EMBEDDER = EmbedderInfo("test/model", 2)
EAST, NORTH = [1.0, 0.0], [0.0, 1.0]
ALICE = {"user_id": "alice"}
WRITES = ("_insert", "_replace", "_replace_payload", "_remove", "_delete", "_clear")
SOON = 30
ALL = in_scope({}, show_expired=True)


class SlowStore(ServerStore):
    """What it is asked while it is `stopped` it sends only when it may `go_on`."""

    stopped = False
    replicated = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.late: list[Callable[[], Any]] = []

    def go_on(self) -> None:
        self.stopped = False
        for call in self.late:
            call()


def _stopping(name: str) -> Callable[..., Any]:
    def call(self: SlowStore, *given: Any) -> Any:
        def send() -> Any:
            return getattr(ServerStore, name)(self, *given)

        if not self.stopped:
            return send()
        self.late.append(send)
        raise VectorStoreTimeout("")

    return call


for _name in WRITES:
    setattr(SlowStore, _name, _stopping(_name))


class Process:
    """What one process has of its own."""

    def __init__(
        self,
        qdrant: QdrantServer,
        place: Place,
        folder: Path,
        store: type[SlowStore] = SlowStore,
        *,
        shared: bool = True,
    ) -> None:
        client = QdrantClient(url=qdrant.url, check_compatibility=False)
        self.store = store(Connection.by(client), "memories", Options(shared=shared))
        self.store.prepare(EMBEDDER)
        self.database = Database(place.backend())
        self.history = History(self.database)
        self.journal = Journal(
            self.database,
            FileLocks(folder / "processes"),
            flushes=False,
            shared=shared,
            catalogued=shared,
        )
        self.writer = Writer(self.store, Messages(self.database), self.journal)

    def add(self, text: str, scope: Scope = ALICE) -> str:
        id_, payload = new_id(), new_payload(text, scope, {})
        row = history_row("ADD", id_, None, payload)
        self.writer.add(scope, Write([row], {id_: (EAST, payload)}, embedder=EMBEDDER))
        return id_

    def change(self, id_: str, text: str, *, whole: bool = False) -> None:
        with self.writer.alone_with(id_, lambda: self.find(id_)) as old:
            new = changed_payload(old, text if whole else None, {} if whole else {"note": text})
            row = history_row("UPDATE", id_, old, new)
            self.writer.write(Write([row], {id_: (NORTH if whole else None, new)}))

    def delete(self, id_: str) -> None:
        with self.writer.alone_with(id_, lambda: self.find(id_)) as old:
            self.writer.write(Write([history_row("DELETE", id_, old, None)], deleted=[id_]))

    def delete_all(self, scope: Scope) -> int:
        there = in_scope(scope, show_expired=True)
        return self.writer.delete(Deletion(scope), lambda: self.store.scan(there))

    def find(self, id_: str) -> Payload:
        found = self.store.get(id_)
        if found is None:
            raise MemoryNotFound
        return found.payload

    def events(self, id_: str) -> list[str]:
        return [row["event"] for row in self.history.get_history(id_)]

    def ids(self) -> set[str]:
        return {record.id for record in self.store.scan(ALL)}

    def stops(self, what: Callable[[], Any]) -> None:
        """Amid `what`: its lease is over, and what it has sent is still on its way."""
        self.store.stopped = True
        with pytest.raises(VectorStoreTimeout):
            what()
        self.journal.close()

    def settles(self) -> None:
        self.journal.recover(self.store)

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.database.close()


def rows(process: Process, table: str) -> int:
    with process.database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608


@pytest.fixture(scope="module")
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as running:
        yield running


P = TypeVar("P", bound=Process)


@contextmanager
def several(
    kind: Callable[[QdrantServer, Place, Path], P],
    qdrant: QdrantServer,
    place: PostgreSQLPlace,
    folder: Path,
) -> Iterator[Callable[[], P]]:
    """Opens processes that share empty stores, and closes them at the end."""
    qdrant.wipe()
    place.empty()
    opened: list[P] = []

    def another() -> P:
        opened.append(kind(qdrant, place, folder))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


@pytest.fixture
def opening(
    qdrant: QdrantServer, postgresql_place: PostgreSQLPlace, tmp_path: Path
) -> Iterator[Callable[[], Process]]:
    with several(Process, qdrant, postgresql_place, tmp_path) as another:
        yield another


@pytest.fixture
def first(opening: Callable[[], Process]) -> Process:
    return opening()


@pytest.fixture
def second(opening: Callable[[], Process]) -> Process:
    return opening()


@pytest.mark.parametrize("whole", [True, False])
class TestChange:
    def test_that_was_cut_off_takes_place_once(
        self, first: Process, second: Process, *, whole: bool
    ) -> None:
        id_ = first.add("tea")
        first.stops(lambda: first.change(id_, "milk", whole=whole))
        second.settles()
        changed = second.find(id_)
        assert changed["data" if whole else "note"] == "milk"
        first.store.go_on()
        assert second.find(id_) == changed
        assert second.events(id_) == ["ADD", "UPDATE"]

    def test_that_comes_late_leaves_what_was_acknowledged_since(
        self, first: Process, second: Process, *, whole: bool
    ) -> None:
        id_ = first.add("tea")
        first.stops(lambda: first.change(id_, "milk", whole=whole))
        second.settles()
        second.change(id_, "water", whole=whole)
        first.store.go_on()
        assert second.find(id_)["data" if whole else "note"] == "water"

    def test_that_comes_late_brings_nothing_back(
        self, first: Process, second: Process, *, whole: bool
    ) -> None:
        id_ = first.add("tea")
        first.stops(lambda: first.change(id_, "milk", whole=whole))
        second.settles()
        second.delete(id_)
        first.store.go_on()
        assert second.ids() == set()
        assert second.events(id_) == ["ADD", "UPDATE", "DELETE"]


class TestAdd:
    def test_that_was_given_up_and_comes_late_is_taken_away(
        self, first: Process, second: Process
    ) -> None:
        first.stops(lambda: first.add("tea"))
        second.settles()
        first.store.go_on()
        [late] = second.ids()
        with pytest.raises(MemoryNotFound):
            second.change(late, "milk")
        with pytest.raises(MemoryNotFound):
            second.delete(late)
        second.settles()
        assert second.ids() == set()
        assert second.events(late) == []

    def test_of_an_id_that_was_given_is_finished_and_may_come_again(
        self, first: Process, second: Process
    ) -> None:
        id_, payload = new_id(), new_payload("tea", ALICE, {})
        row = history_row("ADD", id_, None, payload)

        def brings(process: Process) -> None:
            brought = Write([row], {id_: (EAST, payload)}, embedder=EMBEDDER, given_ids=True)
            with process.writer.alone_with_many({id_: ALICE}):
                process.writer.write(brought)

        first.stops(lambda: brings(first))
        second.settles()
        assert (second.ids(), second.events(id_)) == ({id_}, ["ADD"])
        brings(second)
        first.store.go_on()
        second.settles()
        assert (second.ids(), second.events(id_)) == ({id_}, ["ADD"])

    def test_that_is_being_given_up_is_not_finished_by_others(
        self, first: Process, second: Process
    ) -> None:
        first.store.stopped = True
        for fails in (lambda: first.add("tea"), first.settles):
            with pytest.raises(VectorStoreTimeout):
                fails()
        put, delete = first.store.late
        put()
        first.journal.close()
        [id_] = second.ids()
        second.settles()
        with suppress(MemoryNotFound):
            second.change(id_, "milk")
        found = second.ids()
        delete()
        assert second.ids() == found == set()
        assert second.events(id_) == []

    def test_that_arrived_stands(self, first: Process, second: Process) -> None:
        first.stops(lambda: first.add("tea"))
        first.store.go_on()
        second.settles()
        [id_] = second.ids()
        assert second.events(id_) == ["ADD"]
        second.change(id_, "milk")

    def test_of_a_memory_that_is_there_changes_nothing(
        self, first: Process, second: Process
    ) -> None:
        first.stops(lambda: first.add("tea"))
        first.store.go_on()
        second.settles()
        [id_] = second.ids()
        second.change(id_, "milk")
        first.store.go_on()  # once more, as a server may send it on to another
        assert second.find(id_)["note"] == "milk"

    def test_that_was_done_again_is_not_brought_back_when_its_first_try_comes_late(
        self, first: Process, second: Process
    ) -> None:
        first.stops(lambda: first.add("tea"))
        second.store.replicated = True  # what one replica lacks says nothing: it is done again
        second.settles()
        [id_] = second.ids()
        second.settles()
        second.change(id_, "milk")
        second.delete(id_)
        first.store.go_on()
        assert second.ids() == {id_}
        with pytest.raises(MemoryNotFound):
            second.change(id_, "milk")
        second.settles()
        assert second.ids() == set()
        assert second.events(id_) == ["ADD", "UPDATE", "DELETE"]


class TestDeletion:
    def test_of_one_takes_place_and_comes_late_again(self, first: Process, second: Process) -> None:
        id_ = first.add("tea")
        first.stops(lambda: first.delete(id_))
        second.settles()
        first.store.go_on()
        assert second.ids() == set()
        assert second.events(id_) == ["ADD", "DELETE"]

    @pytest.mark.parametrize("scope", [ALICE, {}], ids=["scope", "reset"])
    def test_of_many_leaves_what_was_added_since(
        self, first: Process, second: Process, scope: Scope
    ) -> None:
        old = [first.add(str(number)) for number in range(3)]
        first.stops(lambda: first.delete_all(scope) if scope else first.writer.reset())
        second.settles()
        new = second.add("new")
        first.store.go_on()
        assert second.ids() == {new}
        assert second.events(new) == ["ADD"]
        assert second.events(old[0]) == (["ADD", "DELETE"] if scope else [])


class TestListing:
    """Of a process that reads what another one deletes."""

    def test_goes_on_where_memories_of_others_are_deleted(
        self, first: Process, second: Process
    ) -> None:
        first.add("tea")
        listing = second.journal.listings.open({"user_id": "bob"})
        first.delete_all(ALICE)
        assert not listing.is_broken()

    def test_goes_on_where_a_scope_without_memories_is_deleted(
        self, first: Process, second: Process
    ) -> None:
        first.add("tea", {"user_id": "bob"})
        listing = second.journal.listings.open({})
        first.delete_all(ALICE)
        assert not listing.is_broken()

    @pytest.mark.parametrize("scope", [ALICE, {}], ids=["scope", "reset"])
    def test_is_broken_by_a_deletion_that_was_cut_off_until_that_is_settled(
        self, first: Process, second: Process, scope: Scope
    ) -> None:
        first.add("tea")
        listing = second.journal.listings.open(ALICE)
        first.stops(lambda: first.delete_all(scope) if scope else first.writer.reset())
        assert listing.is_broken()
        second.settles()
        assert listing.is_broken()
        assert not second.journal.listings.open(ALICE).is_broken()
        assert second.ids() == set()

    def test_goes_on_until_a_deletion_of_many_parts_is_written_down(
        self, first: Process, second: Process
    ) -> None:
        ids = [first.add(f"{number}") for number in range(3)]
        listing = second.journal.listings.open(ALICE)

        def parts() -> Iterator[Part]:
            for id_ in ids:
                yield Part([id_], [])
                assert not listing.is_broken()

        with first.writer.locks.deleting(ALICE):
            first.journal.delete(first.store, Deletion(ALICE), parts())
        assert listing.is_broken()

    def test_of_a_deletion_that_the_store_refuses_is_whole_when_it_starts_over(
        self, first: Process, second: Process, qdrant: QdrantServer
    ) -> None:
        id_ = first.add("tea")
        refused = qdrant.fault("/collections/memories/points/delete", status=403)
        with pytest.raises(VectorStoreRefused):
            first.delete_all(ALICE)
        refused.clear()
        assert not read(second.journal.listings, ALICE).is_broken()
        assert second.ids() == {id_}


class TestLocks:
    def test_what_is_unsure_keeps_other_processes_out_until_it_is_settled(
        self, first: Process, second: Process
    ) -> None:
        second.journal.locks._seconds = 0.05
        id_ = first.add("tea")
        first.store.stopped = True
        with pytest.raises(VectorStoreTimeout):
            first.change(id_, "milk")
        for barred in (lambda: second.change(id_, "water"), lambda: second.delete_all(ALICE)):
            with pytest.raises(ServiceBusy):
                barred()
        first.store.go_on()
        first.settles()
        second.change(id_, "water")
        assert second.find(id_)["note"] == "water"
        assert second.events(id_) == ["ADD", "UPDATE", "UPDATE"]

    def test_who_waits_for_what_is_unsure_keeps_nobody_from_settling_it(
        self, first: Process, second: Process
    ) -> None:
        second.journal.locks._seconds = SOON
        id_ = first.add("tea")
        first.store.stopped = True
        with pytest.raises(VectorStoreTimeout):
            first.change(id_, "milk")
        first.store.go_on()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(second.change, id_, "water")
            wait_for(lambda: rows(second, "locks") == 2, SOON)
            first.change(id_, "lemonade")
            waiting.result(SOON)
        assert first.events(id_) == ["ADD", *["UPDATE"] * 3]

    def test_what_is_not_written_is_let_go_with_what_is(
        self, first: Process, second: Process
    ) -> None:
        second.journal.locks._seconds = 5
        written, other = first.add("tea"), first.add("milk")
        with first.writer.alone_with_many({written: ALICE, other: ALICE}):
            row = history_row("DELETE", written, first.find(written), None)
            first.writer.write(Write([row], deleted=[written]))
        second.change(other, "water")
        assert second.ids() == {other}

    def test_who_was_taken_for_dead_begins_nothing(self, first: Process, second: Process) -> None:
        id_ = first.add("tea")
        with first.writer.alone_with(id_, lambda: first.find(id_)) as old:
            first.journal.close()
            second.settles()
            second.change(id_, "water")
            new = changed_payload(old, None, {"note": "milk"})
            row = history_row("UPDATE", id_, old, new)
            with pytest.raises(ServiceBusy, match="taken for dead"):
                first.writer.write(Write([row], {id_: (None, new)}))
        assert second.find(id_)["note"] == "water"
        assert second.events(id_) == ["ADD", "UPDATE"]

    def test_nothing_is_left_when_all_is_done(self, first: Process, second: Process) -> None:
        id_ = first.add("tea")
        second.change(id_, "milk")
        first.delete(id_)
        second.add("tea")
        second.delete_all(ALICE)
        first.writer.reset()
        assert [rows(first, table) for table in ("locks", "intents", "tombstones")] == [0, 0, 0]
