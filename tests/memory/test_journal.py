"""What a crash, a timeout or a power cut leaves behind, settled from the intents."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.errors import HistoryUnavailable, VectorStoreTimeout
from app.memory.filters import Filter
from app.memory.history import History
from app.memory.journal import Intent, Journal
from app.memory.payloads import history_row, new_id, new_payload
from app.memory.ranking import Record
from app.memory.stores.base import EmbedderInfo, NewPoint
from app.memory.stores.edge import EdgeStore
from app.memory.stores.paging import Cursor, Listed
from tests.memory.test_engine import ALICE, Parts

EMBEDDER = EmbedderInfo("test/model", 2)


class MoodyStore(EdgeStore):
    """Times out on the next write, before or after it was carried out."""

    mood = ""

    def _upsert(self, points: Sequence[NewPoint]) -> None:
        if self.mood == "before":
            raise VectorStoreTimeout("")
        super()._upsert(points)
        if self.mood == "after":
            raise VectorStoreTimeout("")


class MoodyHistory(History):
    """Fails where the write of the vectors is already done."""

    fails = False

    def finish(self, number: int, rows: Any, **options: Any) -> None:
        if self.fails:
            raise HistoryUnavailable("")
        super().finish(number, rows, **options)


class Desk:
    """A journal on a real store and a real history."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MoodyStore(folder / "qdrant")
        self.store.prepare(EMBEDDER)
        self.history = MoodyHistory(folder / "history.db")
        self.journals: list[Journal] = []
        self.journal = self.another_process()

    def another_process(self) -> Journal:
        self.journals.append(Journal(self.history, self.folder / "processes", flushes=True))
        return self.journals[-1]

    def intents(self) -> int:
        return sum(len(self.history.intents(process)) for process in self.history.processes())

    def events(self, memory_id: str) -> list[str]:
        return [row["event"] for row in self.history.get_history(memory_id)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    for journal in opened.journals:
        journal.close()
    opened.store.close()
    opened.history.close()


def adding(memory_id: str = "00000000-0000-4000-8000-000000000001") -> tuple[str, Intent]:
    payload = new_payload("tea", ALICE, {})
    row = history_row("ADD", memory_id, None, payload)
    return memory_id, Intent([row], {memory_id: ([1.0, 0.0], payload)}, embedder=EMBEDDER)


def deleting(desk: Desk, memory_id: str, **scope: Any) -> Intent:
    found = desk.store.get(memory_id)
    assert found
    row = history_row("DELETE", memory_id, found.payload, None)
    return Intent([row], deleted=[memory_id], **scope)


def test_an_intent_survives_being_written_down() -> None:
    _, intent = adding()
    assert Intent.from_json(intent.to_json()) == intent


def test_a_write_leaves_its_row_and_after_the_flush_no_intent(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.journal.write(desk.store, intent)
    assert desk.events(memory_id) == ["ADD"]
    assert desk.intents() == 1
    desk.journal.flushed(desk.store.flush)
    assert desk.intents() == 0


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
    desk.journal.settle(desk.store)
    assert desk.events(memory_id) == events
    assert bool(desk.store.get(memory_id)) == bool(events)


def test_a_write_whose_history_failed_is_finished_later(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.history.fails = True
    with pytest.raises(HistoryUnavailable):
        desk.journal.write(desk.store, intent)
    desk.history.fails = False
    desk.journal.settle(desk.store)
    assert desk.events(memory_id) == ["ADD"]
    desk.journal.settle(desk.store)
    assert desk.events(memory_id) == ["ADD"]


def test_a_living_process_is_left_alone_and_a_dead_one_settled(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.store.mood = "after"
    with pytest.raises(VectorStoreTimeout):
        desk.journal.write(desk.store, intent)
    desk.store.mood = ""
    other = desk.another_process()
    other.settle(desk.store)
    assert desk.events(memory_id) == []
    desk.journal.close()
    other.settle(desk.store)
    assert desk.events(memory_id) == ["ADD"]
    assert desk.intents() == 0


def test_a_delete_of_one_that_did_not_happen_never_was(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.journal.write(desk.store, intent)
    desk.history.begin("a dead process", deleting(desk, memory_id).to_json())
    desk.journal.settle(desk.store)
    assert desk.store.get(memory_id)
    assert desk.events(memory_id) == ["ADD"]


def test_a_delete_that_took_place_stays_also_after_what_was_done_before_it_is_done_again(
    desk: Desk,
) -> None:
    memory_id, intent = adding()
    desk.journal.write(desk.store, intent)  # done, and not flushed: it will be done again
    begun = deleting(desk, memory_id)
    desk.history.begin(desk.journal.process, begun.to_json())
    begun.apply(desk.store)
    desk.journal.close()
    desk.another_process().settle(desk.store)
    assert desk.store.get(memory_id) is None
    assert desk.events(memory_id) == ["ADD", "DELETE"]


def test_a_delete_all_that_was_begun_is_finished(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.journal.write(desk.store, intent)
    begun = deleting(desk, memory_id, scope=ALICE)
    desk.history.begin("a dead process", begun.to_json())
    desk.journal.settle(desk.store)
    assert desk.store.get(memory_id) is None
    assert desk.events(memory_id) == ["ADD", "DELETE"]


def test_a_reset_that_was_begun_is_finished(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.journal.write(desk.store, intent)
    desk.history.begin("a dead process", Intent([], scope={}).to_json())
    desk.journal.settle(desk.store)
    assert desk.store.count({}) == 0
    assert desk.events(memory_id) == []


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

    service.update(changed, text="new tea")
    service.update(retagged, changes={"fresh": True})
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
    texts = {record.id: record.payload["data"] for record in left.every({})}
    left.close()
    old = {changed: "old tea", retagged: "old milk", removed: "old water", bobs: "bob was here"}
    assert texts == old

    again = Parts(cut)
    again.journal.settle(again.store)
    assert again.service.get_all({}, limit=100)["results"] == expected
    assert {id_: again.service.history(id_) for id_ in histories} == histories
    assert again.service.search("new tea", {})[0]["id"] == changed
    assert again.history.processes() == []
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
    assert parts.service.delete_all(ALICE) == 10_000
    assert len(parts.store.calls) <= 12, parts.store.calls
    assert parts.store.count({}) == 0
    parts.service.close()
