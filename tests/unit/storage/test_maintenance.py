"""The thread that settles, flushes and tidies: nothing ends it, and it says how it gets on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import MaintenanceFailed
from app.storage.journal.maintenance import Maintenance
from app.storage.payloads import new_id, new_payload
from app.storage.vectors.edge import EdgeStore
from tests.service import wait_for
from tests.unit.memory.test_operations import ALICE, SAID, Parts


class BrokenStore(EdgeStore):
    """Fails in a way that nobody foresaw, as long as it is told to."""

    broken = False
    flushes = 0

    def flush(self) -> None:
        if self.broken:
            raise OSError("a lock file that is not there")
        super().flush()
        self.flushes += 1


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path, store=BrokenStore)
    yield made
    made.service.close()


@pytest.fixture
def maintenance(parts: Parts) -> Iterator[Maintenance]:
    made = Maintenance(parts.journal, parts.store, parts.history, seconds=0.01)
    yield made
    made.close()


def failure(maintenance: Maintenance) -> str:
    try:
        maintenance.check()
    except MaintenanceFailed as error:
        return error.detail
    return ""


def test_it_survives_what_nobody_foresaw_and_says_so(
    parts: Parts, maintenance: Maintenance
) -> None:
    parts.store.broken = True
    parts.service.add(SAID, ALICE, infer=False)
    assert "OSError" in wait_for(lambda: failure(maintenance))
    parts.store.broken = False
    before = parts.store.flushes
    wait_for(lambda: not failure(maintenance))
    wait_for(lambda: parts.store.flushes > before)


def test_it_names_what_it_keeps_for_a_newer_version(parts: Parts, maintenance: Maintenance) -> None:
    with closing(sqlite3.connect(parts.folder / "history.db", isolation_level=None)) as raw:
        raw.execute(
            "INSERT INTO intents (id, process, done, version, body) "
            "VALUES ('x', 'dead', 0, 99, 'of another time')"
        )
    assert "the unfinished writes 1" in wait_for(maintenance.check)


def test_it_tells_of_a_store_that_does_not_fit_the_history(parts: Parts) -> None:
    vector = parts.embedder.embed("tea")
    parts.store.put({new_id(): (vector, new_payload("tea", ALICE, {})) for _ in range(3)})
    parts.service.add(SAID, ALICE, infer=False)
    with closing_maintenance(parts) as maintenance:
        note = wait_for(maintenance.check)
    assert "has 4 memories, the history knows 1" in note


def closing_maintenance(parts: Parts) -> Any:
    return closing(Maintenance(parts.journal, parts.store, parts.history, seconds=10))


def test_where_they_fit_there_is_nothing_to_tell(parts: Parts) -> None:
    stored = parts.service.add(SAID, ALICE, infer=False).stored
    parts.service.add(SAID, ALICE, infer=False)
    parts.service.delete(stored[0]["id"])
    with closing_maintenance(parts) as maintenance:
        wait_for(lambda: maintenance._compared)
        assert maintenance.check() is None
