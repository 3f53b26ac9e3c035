"""Words of an earlier version are made again beside the requests."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from qdrant_edge import SparseVector

from app.embeddings import EmbedderInfo
from app.memory.words_again import WordsAgain
from app.storage.history.database import Database
from app.storage.history.messages import Messages
from app.storage.history.sqlite import SQLite
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writer import Writer
from app.storage.vectors.bm25 import OLDEST
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.filters import in_scope
from app.storage.vectors.worded import AT_ONCE
from tests.service import wait_for

EAST = [1.0, 0.0, 0.0, 0.0]
EVERYTHING = in_scope({})
OLD_WORDS = SparseVector(indices=[1, 2], values=[1.0, 1.0])
NUMBER = 200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    opened = EdgeStore(tmp_path / "qdrant")
    opened.prepare(EmbedderInfo("test/model", 4))
    ids = [str(uuid.uuid4()) for _ in range(NUMBER)]
    opened.put({id_: (EAST, payload(f"등산 {n}")) for n, id_ in enumerate(ids)})
    opened._update_words(dict.fromkeys(ids, OLD_WORDS))
    opened._record_words(OLDEST)
    yield opened
    opened.close()


@pytest.fixture
def writer(tmp_path: Path, store: EdgeStore) -> Iterator[Writer]:
    with ExitStack() as stack:
        database = Database(SQLite(tmp_path / "history.db"))
        stack.callback(database.close)
        journal = Journal(database, FileLocks(tmp_path / "processes"), flushes=True)
        yield Writer(store, Messages(database), journal)
        journal.close()


def payload(text: str) -> dict[str, str]:
    return {"data": text, "user_id": "u", "created_at": "2024-05-01T00:00:00+00:00"}


def ids_in_turn(store: EdgeStore) -> list[str]:
    return [id_ for _, texts in store.old_words() for id_ in texts]


def found(store: EdgeStore, query: str) -> set[str]:
    """The texts that have a word of the query."""
    return {record.payload["data"] for record in store.hybrid(query, None, EVERYTHING, NUMBER)[1]}


def test_what_was_cut_off_is_finished_by_the_next(store: EdgeStore, writer: Writer) -> None:
    made = AT_ONCE + 1  # the second step is at work
    held = ids_in_turn(store)[made]
    first = WordsAgain(store, writer)
    with ThreadPoolExecutor() as pool:
        with writer.alone_with(held, lambda: payload("")):
            first.begin()
            wait_for(lambda: len(found(store, "등산")) == made)
            pool.submit(first.close)
        wait_for(lambda: len(found(store, "등산")) > made)
    assert len(found(store, "등산")) < NUMBER
    assert f" of {NUMBER} memories were looked through" in str(first.note())
    again = WordsAgain(store, writer)
    again.begin()
    wait_for(lambda: not store.has_old_words(), 60)
    again.close()
    assert again.note() is None
    assert len(found(store, "등산")) == NUMBER


def test_what_is_changed_or_deleted_meanwhile_stays_so(store: EdgeStore, writer: Writer) -> None:
    """It has read what the memories were, and waits for who changes one."""
    _, changed, deleted, *_ = ids_in_turn(store)
    work = WordsAgain(store, writer)
    with writer.alone_with(changed, lambda: payload("")):
        work.begin()
        wait_for(lambda: found(store, "등산"))
        store.put({changed: (EAST, payload("수영"))})
        store.delete_many([deleted])
    wait_for(lambda: not store.has_old_words(), 60)
    work.close()
    assert found(store, "수영") == {"수영"}
    assert len(found(store, "등산")) == NUMBER - 2
    assert store.get(deleted) is None


def test_unless_it_may_it_says_what_to_run(
    store: EdgeStore, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    work = WordsAgain(store, writer, auto=False)
    work.begin()
    work.close()
    assert caplog.text.count("python -m app.reembed") == 1
    assert "python -m app.reembed" in str(work.note())
    assert found(store, "등산") == set()
