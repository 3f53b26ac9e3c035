"""What a crash, a timeout or a power cut leaves behind, settled from the intents."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from app.embeddings import EmbedderInfo
from app.errors import HistoryUnavailable, StorageFull, VectorStoreTimeout
from app.security.scopes import Scope
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.messages import Messages
from app.storage.history.parts import Part
from app.storage.history.rows import History
from app.storage.history.sqlite import SQLite
from app.storage.history.together import NewIntent
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Deletion, Write, read
from app.storage.payloads import changed_payload, history_row, new_id, new_payload
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import PAGE, Cursor, Listed
from app.storage.vectors.points import NewPoint
from app.storage.vectors.ranking import Record
from tests.unit.memory.test_operations import ALICE, Parts

EMBEDDER = EmbedderInfo("test/model", 2)


class MoodyStore(EdgeStore):
    """Times out on the next write, before or after it was carried out."""

    mood = ""
    takes: int | None = None
    """Points of the next write, before it times out."""
    deletes = True
    room_for = 100
    """Deletions, before the disk is full."""
    then: Callable[[], Any] = staticmethod(lambda: None)

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        if self.mood == "before":
            raise VectorStoreTimeout("")
        super()._upsert(points[: self.takes])
        self.then()
        if self.mood == "after":
            raise VectorStoreTimeout("")

    def _delete(self, ids: Sequence[str]) -> None:
        if not self.deletes:
            raise VectorStoreTimeout("")
        if not self.room_for:
            raise StorageFull("")
        self.room_for -= 1
        super()._delete(ids)

    def _clear(self) -> None:
        if not self.deletes:
            raise VectorStoreTimeout("")
        super()._clear()


class MoodyDatabase(Database):
    """Fails where the write of the vectors is already done."""

    fails = False
    commits_first = False

    def write(self, work: Callable[[Connection], Any], *, after_others: bool = False) -> Any:
        if self.fails and self.commits_first:
            super().write(work)
        if self.fails:
            raise HistoryUnavailable("")
        return super().write(work, after_others=after_others)


class Desk:
    """A journal on a real store and a real history."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MoodyStore(folder / "qdrant")
        self.store.prepare(EMBEDDER)
        self.database = MoodyDatabase(SQLite(folder / "history.db"))
        self.history = History(self.database)
        self.intents = Intents(self.database)
        self.journals: list[Journal] = []
        self.journal = self.another_process()

    def another_process(self, **options: Any) -> Journal:
        folder = self.folder / "processes"
        self.journals.append(Journal(self.database, FileLocks(folder), flushes=True, **options))
        return self.journals[-1]

    def left(self) -> int:
        return sum(len(self.intents.of(process)) for process in self.intents.processes())

    def begun(
        self, intent: Write | Deletion, process: str = "a dead process", **options: Any
    ) -> int:
        """An intent as a process leaves it that is killed right after."""
        new = NewIntent(intent.id, intent.VERSION, intent.to_json())
        return self.intents.begin(process, new, **options)

    def events(self, memory_id: str) -> list[str]:
        return [row["event"] for row in self.history.get_history(memory_id)]

    def add(self) -> str:
        memory_id, intent = adding()
        self.journal.write(self.store, intent)
        return memory_id

    def change(self, memory_id: str, text: str) -> Write:
        found = self.store.get(memory_id)
        assert found
        new = changed_payload(found.payload, text, {})
        row = history_row("UPDATE", memory_id, found.payload, new)
        return Write([row], {memory_id: ([0.0, 1.0], new)}, embedder=EMBEDDER)

    def delete_all(self, memory_ids: Sequence[str], scope: Scope, purge: bool = False) -> None:
        parts = [Part([id_], [self.row(id_)]) for id_ in memory_ids]
        self.journal.delete(self.store, Deletion(scope, purge), parts)

    def row(self, memory_id: str) -> dict[str, Any]:
        found = self.store.get(memory_id)
        assert found
        return history_row("DELETE", memory_id, found.payload, None)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    for journal in opened.journals:
        journal.close()
    opened.store.close()
    opened.database.close()


def adding(memory_id: str | None = None) -> tuple[str, Write]:
    memory_id = memory_id or new_id()
    payload = new_payload("tea", ALICE, {})
    row = history_row("ADD", memory_id, None, payload)
    return memory_id, Write([row], {memory_id: ([1.0, 0.0], payload)}, embedder=EMBEDDER)


def deleting(desk: Desk, memory_id: str) -> Write:
    return Write([desk.row(memory_id)], deleted=[memory_id])


@pytest.mark.parametrize(
    "intent",
    [adding()[1], Deletion(ALICE, purge=True), Deletion({}), Deletion({}, chosen=True)],
)
def test_an_intent_survives_being_written_down(intent: Write | Deletion) -> None:
    assert read(intent.VERSION, intent.to_json()) == intent


def test_a_write_leaves_its_row_and_after_the_flush_no_intent(desk: Desk) -> None:
    memory_id = desk.add()
    assert desk.events(memory_id) == ["ADD"]
    assert desk.left() == 1
    desk.journal.flushed(desk.store.flush)
    assert desk.left() == 0


def test_a_change_of_a_memory_that_is_being_added_waits_for_its_history(desk: Desk) -> None:
    writer = Writer(desk.store, Messages(desk.database), desk.journal)
    memory_id, intent = adding()
    changed: list[Future[None]] = []

    def change() -> None:
        with writer.alone_with(memory_id, lambda: desk.store.get(memory_id).payload):  # type: ignore[union-attr]
            writer.write(desk.change(memory_id, "coffee"))

    with ThreadPoolExecutor() as pool:

        def seen_early() -> None:
            desk.store.then = lambda: None
            changed.append(pool.submit(change))
            assert not wait(changed, timeout=0.1).done

        desk.store.then = seen_early
        writer.add(ALICE, intent)
        changed[0].result(10)
    assert desk.events(memory_id) == ["ADD", "UPDATE"]


@pytest.mark.parametrize(("mood", "events"), [("before", []), ("after", ["ADD"])])
def test_a_write_that_timed_out_is_settled_by_looking(
    desk: Desk, mood: str, events: list[str]
) -> None:
    memory_id, intent = adding()
    desk.store.mood = mood
    with pytest.raises(VectorStoreTimeout):
        desk.journal.write(desk.store, intent)
    assert desk.events(memory_id) == []
    desk.store.mood = ""
    desk.journal.recover(desk.store)
    assert desk.events(memory_id) == events
    assert bool(desk.store.get(memory_id)) == bool(events)


@pytest.mark.parametrize("commits_first", [False, True])
def test_a_write_whose_history_failed_is_finished_later_and_once(
    desk: Desk, commits_first: bool
) -> None:
    memory_id, intent = adding()
    desk.store.then = lambda: setattr(desk.database, "fails", True)
    desk.database.commits_first = commits_first
    with pytest.raises(HistoryUnavailable):
        desk.journal.write(desk.store, intent)
    assert desk.journal.unsure == 1
    desk.database.fails = False
    desk.journal.recover(desk.store)
    assert desk.events(memory_id) == ["ADD"]
    assert desk.journal.unsure == 0
    desk.journal.recover(desk.store)
    assert desk.events(memory_id) == ["ADD"]


@pytest.mark.parametrize("commits_first", [False, True])
def test_a_write_that_could_not_be_written_down_leaves_nothing(
    desk: Desk, commits_first: bool
) -> None:
    memory_id, intent = adding()
    desk.database.fails, desk.database.commits_first = True, commits_first
    with pytest.raises(HistoryUnavailable):
        desk.journal.write(desk.store, intent)
    desk.database.fails = False
    desk.journal.recover(desk.store)
    assert desk.store.get(memory_id) is None
    assert desk.events(memory_id) == []
    assert desk.left() == 0


class TestWritesTogether:
    """Each is whole or not at all, whatever becomes of the others."""

    def several(self) -> tuple[list[str], list[Write]]:
        """Adds of two memories each."""
        pairs = [(adding(), adding()) for _ in range(3)]
        ids = [id_ for pair in pairs for id_, _ in pair]
        writes = [
            replace(one, rows=one.rows + other.rows, points=one.points | other.points)
            for (_, one), (_, other) in pairs
        ]
        return ids, writes

    def events(self, desk: Desk, ids: Sequence[str]) -> list[list[str]]:
        return [desk.events(id_) for id_ in ids]

    def test_leave_what_single_ones_leave(self, desk: Desk) -> None:
        ids, writes = self.several()
        desk.journal.write_all(desk.store, writes)
        assert self.events(desk, ids) == [["ADD"]] * 6
        assert [stored.done for stored in desk.intents.of(desk.journal.process)] == [True] * 3
        desk.journal.flushed(desk.store.flush)
        assert desk.left() == 0

    @pytest.mark.parametrize("another_process", [False, True])
    def test_that_were_cut_off_are_settled_each_by_itself(
        self, desk: Desk, another_process: bool
    ) -> None:
        ids, writes = self.several()
        desk.store.mood, desk.store.takes = "after", 3
        with pytest.raises(VectorStoreTimeout):
            desk.journal.write_all(desk.store, writes)
        desk.store.mood, desk.store.takes = "", None
        journal = desk.journal
        if another_process:
            desk.journal.close()
            journal = desk.another_process()
        journal.recover(desk.store)
        assert self.events(desk, ids) == [["ADD"], ["ADD"], [], [], [], []]
        assert [desk.store.get(id_) is not None for id_ in ids] == [True] * 2 + [False] * 4

    @pytest.mark.parametrize("commits_first", [False, True])
    def test_whose_history_failed_are_finished_later_and_once(
        self, desk: Desk, commits_first: bool
    ) -> None:
        ids, writes = self.several()
        desk.store.then = lambda: setattr(desk.database, "fails", True)
        desk.database.commits_first = commits_first
        with pytest.raises(HistoryUnavailable):
            desk.journal.write_all(desk.store, writes)
        assert desk.journal.unsure == 3
        desk.database.fails = False
        desk.journal.recover(desk.store)
        assert self.events(desk, ids) == [["ADD"]] * 6
        assert desk.journal.unsure == 0

    @pytest.mark.parametrize("commits_first", [False, True])
    def test_that_could_not_be_written_down_leave_nothing(
        self, desk: Desk, commits_first: bool
    ) -> None:
        ids, writes = self.several()
        desk.database.fails, desk.database.commits_first = True, commits_first
        with pytest.raises(HistoryUnavailable):
            desk.journal.write_all(desk.store, writes)
        desk.database.fails = False
        desk.journal.recover(desk.store)
        assert self.events(desk, ids) == [[]] * 6
        assert desk.left() == 0

    def test_keep_the_answer_of_each(self, desk: Desk) -> None:
        _, writes = self.several()
        answers = desk.journal.answers
        for number in range(3):
            answers.claim("admin", str(number), "print", desk.journal.process, ALICE)
        keyed = [
            replace(write, repeat=("admin", str(number)), answer=f"{number}")
            for number, write in enumerate(writes)
        ]
        desk.journal.write_all(desk.store, keyed)
        for number in range(3):
            found = answers.claim("admin", str(number), "print", desk.journal.process, ALICE)
            assert found
            assert found.answer == str(number)


class TestAnIdThatWasGiven:
    """May come again, by another process that does not know what this one is unsure about."""

    def brought(self) -> tuple[str, Write]:
        memory_id, intent = adding()
        return memory_id, replace(intent, given_ids=True)

    @pytest.mark.parametrize("mood", ["before", "after"])
    def test_stays_with_one_history_when_the_first_write_is_settled(
        self, desk: Desk, mood: str
    ) -> None:
        memory_id, intent = self.brought()
        desk.store.mood = mood
        with pytest.raises(VectorStoreTimeout):
            desk.journal.write(desk.store, intent)
        desk.store.mood = ""
        desk.another_process().write(desk.store, replace(intent, id=new_id()))
        desk.journal.recover(desk.store)
        assert desk.events(memory_id) == ["ADD"]
        assert desk.store.get(memory_id)

    def test_is_not_taken_away_with_what_is_given_up(self, desk: Desk) -> None:
        (memory_id, intent), (other, second) = self.brought(), self.brought()
        both = Write(
            [*intent.rows, *second.rows],
            {**intent.points, **second.points},
            embedder=EMBEDDER,
            given_ids=True,
        )
        desk.store.mood = "before"
        with pytest.raises(VectorStoreTimeout):
            desk.journal.write(desk.store, both)
        desk.store.mood = ""
        desk.another_process().write(desk.store, intent)
        desk.journal.recover(desk.store)
        assert (desk.events(memory_id), desk.events(other)) == (["ADD"], [])
        assert [bool(desk.store.get(id_)) for id_ in (memory_id, other)] == [True, False]


class TestWhatIsUnsure:
    """Nobody writes to its memories before it is settled."""

    def unsure(self, desk: Desk, intent: Write, mood: str = "after") -> None:
        desk.store.mood = mood
        with pytest.raises(VectorStoreTimeout):
            desk.journal.write(desk.store, intent)
        desk.store.mood = ""

    def test_is_settled_by_the_next_who_writes_there(self, desk: Desk) -> None:
        memory_id, intent = adding()
        self.unsure(desk, intent)
        desk.journal.clear_way(desk.store, [memory_id])
        assert desk.events(memory_id) == ["ADD"]
        desk.journal.write(desk.store, desk.change(memory_id, "milk"))
        desk.journal.recover(desk.store)
        assert desk.events(memory_id) == ["ADD", "UPDATE"]
        assert desk.store.get(memory_id)

    def test_bars_the_way_while_it_cannot_be(self, desk: Desk) -> None:
        memory_id, intent = adding()
        self.unsure(desk, intent)
        desk.database.fails = True
        with pytest.raises(HistoryUnavailable):
            desk.journal.clear_way(desk.store, [memory_id])
        assert desk.journal.unsure == 1

    @pytest.mark.parametrize(
        ("ids", "scope", "whole"),
        [(["another"], None, False), ([], ALICE, False), ([], {"user_id": "bob"}, True)],
    )
    def test_is_left_alone_by_whom_it_does_not_concern(
        self, desk: Desk, ids: list[str], scope: Scope | None, whole: bool
    ) -> None:
        _, intent = adding()
        self.unsure(desk, intent)
        desk.journal.clear_way(desk.store, ids, scope, whole=whole)
        assert desk.journal.unsure == 1

    @pytest.mark.parametrize("scope", [ALICE, {}])
    def test_is_settled_by_who_deletes_its_scope(self, desk: Desk, scope: Scope) -> None:
        memory_id, intent = adding()
        self.unsure(desk, intent)
        desk.journal.clear_way(desk.store, scope=scope, whole=True)
        assert desk.events(memory_id) == ["ADD"]
        assert desk.journal.unsure == 0

    @pytest.mark.parametrize("scope", [ALICE, {}])
    def test_deletion_bars_new_memories_of_its_scope(self, desk: Desk, scope: Scope) -> None:
        memory_id = desk.add()
        desk.store.deletes = False
        with pytest.raises(VectorStoreTimeout):
            desk.delete_all([memory_id], scope)
        with pytest.raises(VectorStoreTimeout):
            desk.journal.clear_way(desk.store, scope=ALICE)
        desk.store.deletes = True
        desk.journal.clear_way(desk.store, scope=ALICE)
        assert desk.store.get(memory_id) is None
        kept = desk.add()
        desk.journal.recover(desk.store)
        assert desk.store.get(kept)
        assert desk.events(kept) == ["ADD"]
        assert desk.events(memory_id) == (["ADD", "DELETE"] if scope else [])

    def test_change_on_an_engine_that_may_remember_it_is_done_again(self, desk: Desk) -> None:
        memory_id = desk.add()
        self.unsure(desk, desk.change(memory_id, "milk"), "before")
        desk.journal.recover(desk.store)
        assert desk.events(memory_id) == ["ADD", "UPDATE"]
        found = desk.store.get(memory_id)
        assert found
        assert found.payload["data"] == "milk"

    def test_request_with_a_key_is_settled_by_who_asks_again(self, desk: Desk) -> None:
        _, intent = adding()
        intent = replace(intent, repeat=("admin", "k"), answer="{}")
        answers = desk.journal.answers
        answers.claim("admin", "k", "print", desk.journal.process, ALICE)
        self.unsure(desk, intent)
        again = answers.claim("admin", "k", "print", desk.journal.process, ALICE)
        assert again
        assert again.answer is None
        desk.journal.clear_key(desk.store, ("admin", "k"))
        found = answers.claim("admin", "k", "print", desk.journal.process, ALICE)
        assert found
        assert found.answer == "{}"


def test_a_purge_that_was_done_is_not_done_again_over_later_adds(desk: Desk) -> None:
    memory_id = desk.add()
    desk.delete_all([memory_id], ALICE, purge=True)
    number = desk.intents.done(desk.journal.process)[-1]
    kept = desk.add()
    desk.intents.finish_deletion(number, ALICE, keep=True, purge=True)
    assert [row["new_memory"] for row in desk.history.get_history(kept)] == ["tea"]


def test_a_deletion_of_many_is_written_down_in_parts_and_whole(desk: Desk) -> None:
    ids = [desk.add() for _ in range(5)]
    desk.delete_all(ids, ALICE)
    assert desk.store.count({}) == 0
    assert [desk.events(id_) for id_ in ids] == [["ADD", "DELETE"]] * 5


def test_a_deletion_that_was_cut_off_while_it_was_written_down_never_was(desk: Desk) -> None:
    memory_id = desk.add()
    deletion = Deletion(ALICE)
    desk.begun(deletion, first=Part([memory_id], [desk.row(memory_id)]), collecting=True)
    desk.journal.recover(desk.store)
    assert desk.events(memory_id) == ["ADD"]
    assert desk.store.get(memory_id)
    assert desk.intents.of("a dead process") == []


@pytest.mark.parametrize(("room_for", "events"), [(0, ["ADD"]), (1, ["ADD", "DELETE"])])
def test_a_deletion_is_cancelled_only_if_nothing_was_deleted(
    desk: Desk, room_for: int, events: list[str]
) -> None:
    desk.journal = desk.another_process(delete_batch=1)
    ids = [desk.add() for _ in range(3)]
    desk.store.room_for = room_for
    with pytest.raises(StorageFull):
        desk.delete_all(ids, ALICE)
    desk.store.room_for = 100
    desk.journal.recover(desk.store)
    assert [desk.events(id_) for id_ in ids] == [events] * 3
    assert desk.store.count({}) == (3 if events == ["ADD"] else 0)


def test_a_living_process_is_left_alone_and_a_dead_one_settled(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.store.mood = "after"
    with pytest.raises(VectorStoreTimeout):
        desk.journal.write(desk.store, intent)
    desk.store.mood = ""
    other = desk.another_process()
    other.recover(desk.store)
    assert desk.events(memory_id) == []
    desk.journal.close()
    other.recover(desk.store)
    assert desk.events(memory_id) == ["ADD"]
    assert desk.left() == 0


def test_what_a_dead_process_left_is_settled_by_the_next_who_writes(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.begun(intent)
    desk.store.put({memory_id: intent.points[memory_id]})  # type: ignore[dict-item]  # has a vector
    desk.another_process().clear_way(desk.store, [memory_id])
    assert desk.events(memory_id) == ["ADD"]


def test_a_delete_of_one_that_did_not_happen_never_was(desk: Desk) -> None:
    memory_id = desk.add()
    desk.begun(deleting(desk, memory_id))
    desk.journal.recover(desk.store)
    assert desk.store.get(memory_id)
    assert desk.events(memory_id) == ["ADD"]


def test_a_delete_that_took_place_stays_also_after_what_was_done_before_it_is_done_again(
    desk: Desk,
) -> None:
    memory_id = desk.add()  # done, and not flushed: it will be done again
    begun = deleting(desk, memory_id)
    desk.begun(begun, desk.journal.process)
    desk.store.delete_many(begun.deleted)
    desk.journal.close()
    desk.another_process().recover(desk.store)
    assert desk.store.get(memory_id) is None
    assert desk.events(memory_id) == ["ADD", "DELETE"]


def test_a_delete_all_that_was_begun_is_finished(desk: Desk) -> None:
    memory_id = desk.add()
    deletion = Deletion(ALICE)
    part = Part([memory_id], [desk.row(memory_id)])
    desk.begun(deletion, first=part)
    desk.journal.recover(desk.store)
    assert desk.store.get(memory_id) is None
    assert desk.events(memory_id) == ["ADD", "DELETE"]


@pytest.mark.parametrize("scope", [ALICE, {}], ids=str)
def test_a_deletion_of_chosen_memories_that_was_begun_takes_those_and_no_conversation(
    desk: Desk, scope: Scope
) -> None:
    chosen, other = desk.add(), desk.add()
    Messages(desk.database).save([([{"role": "user", "content": "tea"}], "user_id=alice")])
    deletion = Deletion(scope, chosen=True)
    part = Part([chosen], [desk.row(chosen)])
    desk.begun(deletion, first=part)
    desk.journal.recover(desk.store)
    assert (desk.store.get(chosen), desk.events(chosen)) == (None, ["ADD", "DELETE"])
    assert desk.store.get(other)
    assert desk.events(other) == ["ADD"]
    assert Messages(desk.database).get_last_messages("user_id=alice")
    assert desk.intents.of("a dead process") == []


def test_a_reset_that_was_begun_is_finished(desk: Desk) -> None:
    memory_id = desk.add()
    desk.begun(Deletion({}))
    desk.journal.recover(desk.store)
    assert desk.store.count({}) == 0
    assert desk.events(memory_id) == []


@pytest.mark.parametrize(("version", "body"), [(99, "of another time"), (2, '{"kind": "odd"}')])
def test_an_intent_that_cannot_be_read_is_kept_and_named(
    desk: Desk, version: int, body: str
) -> None:
    number = desk.intents.begin("a dead process", NewIntent(new_id(), version, body))
    memory_id, intent = adding()
    desk.begun(intent)
    desk.journal.recover(desk.store)
    assert desk.journal.unreadable == [number]
    assert [stored.number for stored in desk.intents.of("a dead process")] == [number]
    assert desk.events(memory_id) == []  # the others were settled


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The store as it was at the last flush, beside the newer history."""
    parts = Parts(tmp_path / "before")
    service = parts.service

    def add(text: str, user: str = "alice") -> str:
        stored = service.add(said(text), {"user_id": user}, infer=False).stored
        return stored[0]["id"]

    changed, retagged, removed = add("old tea"), add("old milk"), add("old water")
    bobs = add("bob was here", "bob")
    parts.journal.flushed(parts.store.flush)
    cut = tmp_path / "after"
    shutil.copytree(tmp_path / "before" / "qdrant", cut / "qdrant")

    service.update(changed, data="new tea")
    service.update(retagged, metadata={"fresh": True})
    service.delete(removed)
    service.delete_all({"user_id": "bob"})
    fresh, brief = add("coffee"), add("gone again")
    service.delete(brief)
    for name in ("history.db", "history.db-wal", "history.db-shm"):
        shutil.copy(tmp_path / "before" / name, cut / name)
    expected = service.get_all({}, limit=100)["results"]
    histories = {id_: service.history(id_) for id_ in (changed, removed, bobs, fresh, brief)}
    service.close()

    left = EdgeStore(cut / "qdrant")
    texts = {record.id: record.payload["data"] for record in left.scan({})}
    left.close()
    old = {changed: "old tea", retagged: "old milk", removed: "old water", bobs: "bob was here"}
    assert texts == old

    again = Parts(cut)
    again.journal.recover(again.store)
    assert again.service.get_all({}, limit=100)["results"] == expected
    assert {id_: again.service.history(id_) for id_ in histories} == histories
    assert again.service.search("new tea", {})[0]["id"] == changed
    assert Intents(again.database).processes() == []
    again.service.close()


class CountingStore(EdgeStore):
    """Counts what is asked of the engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls: list[str] = []

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        self.calls.append("upsert")
        super()._upsert(points)

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        self.calls.append("retrieve")
        return super()._retrieve(ids)

    def _newest(self, where: Filter, limit: int, after: Cursor | None = None) -> list[Listed]:
        self.calls.append("list")
        return super()._newest(where, limit, after)

    def _delete(self, ids: Sequence[str]) -> None:
        self.calls.append("delete")
        super()._delete(ids)

    def _count(self, where: Filter) -> int:
        self.calls.append("count")
        return super()._count(where)


def test_deleting_10000_memories_is_a_few_calls(tmp_path: Path) -> None:
    parts = Parts(tmp_path, store=CountingStore)
    vector = parts.embedder.embed("tea")
    for _ in range(10):
        parts.store.put({new_id(): (vector, new_payload("tea", ALICE, {})) for _ in range(1000)})
    parts.store.calls.clear()
    assert parts.service.delete_all(ALICE).memories == 10_000
    # Two for each page: its ids, then as many of their texts as may be held. And the deletion.
    pages = -(-10_000 // PAGE)
    assert 1 <= len(parts.store.calls) <= 2 * pages + 1, parts.store.calls
    assert parts.store.count({}) == 0
    parts.service.close()
