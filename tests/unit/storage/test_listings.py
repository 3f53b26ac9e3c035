"""Listings of a service that meet deletions; tests/contract/test_listings.py has the rest."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.errors import ServiceBusy, VectorStoreTimeout
from app.memory.answers import Page
from app.memory.requests import GetAllRequest
from app.memory.transfer.requests import ExportRequest
from app.storage.history.intents import Intents
from app.storage.history.parts import Part
from app.storage.history.together import NewIntent
from app.storage.journal.writes import Deletion
from app.storage.listings import Listings
from app.storage.payloads import new_payload
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.points import Whole
from app.storage.vectors.ranking import Record
from tests.unit.memory.test_operations import ALICE, Parts

BOB = {"user_id": "bob"}


def test_breaking_off_marks_what_is_open() -> None:
    listings = Listings()
    mine, other = listings.open(ALICE), listings.open(BOB)
    listings.break_off(ALICE)
    assert (mine.is_broken(), other.is_broken()) == (True, False)


class Interrupted(EdgeStore):
    """Something happens after the first memories of a listing were read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.interruptions: list[Sequence[Record]] = []
        self.interrupt = lambda: None
        self.deletes = True

    def _delete(self, ids: Sequence[str]) -> None:
        if not self.deletes:
            raise VectorStoreTimeout("")
        super()._delete(ids)

    def _retrieve(self, ids: Sequence[str]) -> list[Record]:
        found = super()._retrieve(ids)
        self.happens()
        return found

    def _retrieve_whole(self, ids: Sequence[str]) -> list[Whole]:
        found = super()._retrieve_whole(ids)
        self.happens()
        return found

    def happens(self) -> None:
        interrupt, self.interrupt = self.interrupt, lambda: None
        interrupt()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path, store=Interrupted)


def add(parts: Parts, number: int) -> None:
    vector = parts.embedder.embed("tea")
    parts.store.put({_id(n): (vector, new_payload(f"tea {n}", ALICE, {})) for n in range(number)})


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def test_a_listing_that_was_not_sent_yet_starts_over(parts: Parts) -> None:
    add(parts, 20)
    parts.store.interrupt = lambda: parts.service.delete_all(ALICE)
    assert parts.service.get_all(ALICE, limit=100)["results"] == []
    add(parts, 20)
    parts.store.interrupt = lambda: parts.service.delete_all(ALICE)
    assert parts.service.search("tea", ALICE, limit=100) == []
    add(parts, 20)
    parts.store.interrupt = lambda: parts.service.delete_all(ALICE)
    service = parts.service
    lines = service.service.transfer.export_lines(service.principal, ExportRequest())
    assert json.loads([*lines][1])["type"] == "end"
    parts.service.close()


def test_a_listing_that_meets_deletions_all_the_time_gives_up(parts: Parts) -> None:
    def again() -> None:
        parts.service.delete_all(ALICE)
        add(parts, 20)
        parts.store.interrupt = again

    again()
    with pytest.raises(ServiceBusy):
        parts.service.get_all(ALICE, limit=100)
    parts.store.interrupt = lambda: None
    assert parts.service.get_all(ALICE, limit=100)["total"] == 20
    parts.service.close()


def streamed(parts: Parts, number: int) -> tuple[Page, Iterator[Page]]:
    """The first part of a listing of everybody's memories, and what comes after it."""
    add(parts, number)
    service = parts.service
    pages = service.service.listing(service.principal, GetAllRequest())
    return next(pages), pages


def test_a_stream_is_broken_off_by_a_deletion_that_recovery_finishes(parts: Parts) -> None:
    add(parts, 1)
    parts.store.deletes = False
    with pytest.raises(VectorStoreTimeout):
        parts.service.delete_all(ALICE)
    _, rest = streamed(parts, 1200)
    parts.store.deletes = True
    parts.journal.recover(parts.store)
    with pytest.raises(ServiceBusy):
        list(rest)
    parts.service.close()


def test_a_stream_is_broken_off_by_a_deletion_that_a_dead_process_began(parts: Parts) -> None:
    _, rest = streamed(parts, 1200)
    deletion = Deletion(ALICE)
    new = NewIntent(deletion.id, deletion.VERSION, deletion.to_json())
    Intents(parts.database).begin("a dead process", new, first=Part([_id(0)], []))
    parts.journal.recover(parts.store)
    with pytest.raises(ServiceBusy):
        list(rest)
    parts.service.close()


def test_a_stream_goes_on_where_a_scope_without_memories_is_deleted(parts: Parts) -> None:
    first, rest = streamed(parts, 1200)
    assert parts.service.delete_all(BOB).memories == 0
    assert sum(len(page.memories) for page in [first, *rest]) == 1200
    parts.service.close()


def test_a_page_is_filled_up_where_memories_were_deleted_meanwhile(parts: Parts) -> None:
    add(parts, 20)
    first, *_ = parts.service.get_all(ALICE, limit=20)["results"]
    gone = [memory["id"] for memory in parts.service.get_all(ALICE, limit=12)["results"]][4:]
    parts.store.interrupt = lambda: [parts.service.delete(id_) for id_ in gone]
    page = parts.service.get_all(ALICE, limit=10)
    assert page["results"][0] == first
    assert len(page["results"]) == 10
    assert not {memory["id"] for memory in page["results"]} & {*gone}
    rest = parts.service.get_all(ALICE, limit=10, cursor=page["next_cursor"])
    assert len(rest["results"]) == 2
    assert rest["next_cursor"] is None
    parts.service.close()
