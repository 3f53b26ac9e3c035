"""What failed on some replicas of a memory: done again until it stands on all of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.errors import VectorStoreUnavailable
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.parts import Part
from app.storage.history.rows import History
from app.storage.history.sqlite import SQLite
from app.storage.history.together import NewIntent
from app.storage.journal import guarded
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writes import Deletion, Write
from app.storage.payloads import changed_payload, history_row
from app.storage.vectors.server import ServerStore, open_server_store
from tests.servers.qdrant_cluster import QdrantCluster
from tests.unit.storage.test_journal import EMBEDDER, adding


def opened(url: str) -> ServerStore:
    given = {"QDRANT_URL": url, "QDRANT_REPLICAS": "3", "QDRANT_GRPC": "off"}
    return open_server_store(Settings.from_env(given))


class Desk:
    """A journal on a store whose nodes can be told apart."""

    def __init__(self, cluster: QdrantCluster, folder: Path, *, shared: bool) -> None:
        self.cluster = cluster
        self.stores = [opened(node.url) for node in cluster.nodes]
        """One for each node, so that it is known who is asked."""
        for store in self.stores:
            store.shared = shared
        self.store = self.stores[0]
        self.store.prepare(EMBEDDER)
        self.database = Database(SQLite(folder / "history.db"))
        self.history = History(self.database)
        self.intents = Intents(self.database)
        self.journal = Journal(self.database, FileLocks(folder / "processes"), flushes=False)

    def add(self, text: str = "tea") -> str:
        memory_id, intent = adding()
        self.journal.write(self.store, intent)
        return memory_id

    def payload(self, memory_id: str) -> dict[str, Any]:
        found = self.store.get(memory_id)
        assert found
        return found.payload

    def lonely(self) -> None:
        """Writes stand on the first node, and fail."""
        self.cluster.cut_off.update(self.cluster.nodes[1:])

    def fails(self, write: Callable[[], None]) -> None:
        """Let `write` stand on the first node alone, and the others be reached again."""
        self.store.count({})  # it has looked at the collection
        self.lonely()
        with pytest.raises(VectorStoreUnavailable, match="Too few replicas"):
            write()
        first, *others = self.cluster.contents()
        assert first not in others
        self.cluster.cut_off.clear()

    def alike(self) -> dict[str, Any]:
        """What each of the nodes has."""
        first, *others = self.cluster.contents()
        assert others == [first, first]
        return first

    def events(self, memory_id: str) -> list[str]:
        return [row["event"] for row in self.history.get_history(memory_id)]

    def close(self) -> None:
        self.journal.close()
        for store in self.stores:
            store.close()
        self.database.close()


@pytest.fixture(scope="module")
def running() -> Iterator[QdrantCluster]:
    with QdrantCluster() as cluster:
        yield cluster


@pytest.fixture(params=[False, True], ids=["one process", "a fleet"])
def desk(request: pytest.FixtureRequest, running: QdrantCluster, tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(running, tmp_path, shared=request.param)
    yield opened
    opened.close()
    running.cut_off.clear()
    running.wipe()


def change(desk: Desk, memory_id: str, text: str) -> Write:
    old = desk.payload(memory_id)
    new = changed_payload(old, text, {})
    row = history_row("UPDATE", memory_id, old, new)
    return Write([row], {memory_id: ([0.0, 1.0], new)}, embedder=EMBEDDER)


def metadata(desk: Desk, memory_id: str) -> Write:
    old = desk.payload(memory_id)
    new = changed_payload(old, old["data"], {"kind": "drink"})
    row = history_row("UPDATE", memory_id, old, new)
    return Write([row], {memory_id: (None, new)})


def deletion(desk: Desk, memory_id: str) -> Write:
    row = history_row("DELETE", memory_id, desk.payload(memory_id), None)
    return Write([row], deleted=[memory_id])


WRITES: dict[str, tuple[Callable[[Desk, str], Write], str, bool]] = {
    "another text": (lambda desk, id_: change(desk, id_, "coffee"), "UPDATE", True),
    "other metadata": (metadata, "UPDATE", True),
    "a deletion": (deletion, "DELETE", False),
}


FROM = pytest.mark.parametrize("asked", [0, 1], ids=["who has it", "who lacks it"])
"""Of which node the recovery asks what there is."""


@FROM
@pytest.mark.parametrize("what", WRITES)
def test_a_change_that_stands_on_one_replica_is_brought_to_all(
    desk: Desk, what: str, asked: int
) -> None:
    make, event, stays = WRITES[what]
    memory_id = desk.add()
    intent = make(desk, memory_id)
    desk.fails(lambda: desk.journal.write(desk.store, intent))
    desk.journal.recover(desk.stores[asked])
    assert (memory_id in desk.alike()) == stays
    assert desk.events(memory_id) == ["ADD", event]


@FROM
def test_an_add_that_stands_on_one_replica_is_brought_to_all(desk: Desk, asked: int) -> None:
    memory_id, intent = adding()
    desk.fails(lambda: desk.journal.write(desk.store, intent))
    desk.journal.recover(desk.stores[asked])
    assert [*desk.alike()] == [memory_id]
    assert desk.events(memory_id) == ["ADD"]


@FROM
def test_a_reset_that_stands_on_one_replica_is_brought_to_all(desk: Desk, asked: int) -> None:
    memory_id = desk.add()
    parts = [Part([memory_id], [])] if desk.store.shared else []
    desk.fails(lambda: desk.journal.delete(desk.store, Deletion({}), parts))
    desk.journal.recover(desk.stores[asked])
    assert desk.alike() == {}
    assert desk.events(memory_id) == []


@FROM
def test_so_is_what_a_dead_process_left(desk: Desk, asked: int) -> None:
    memory_id, intent = adding()
    desk.intents.begin("a dead process", NewIntent(intent.id, intent.VERSION, intent.to_json()))
    write = desk.store.insert if desk.store.shared else desk.store.put
    desk.fails(lambda: write(guarded.new(intent)))
    desk.journal.recover(desk.stores[asked])
    assert [*desk.alike()] == [memory_id]
    assert desk.events(memory_id) == ["ADD"]


def test_it_is_tried_until_enough_replicas_are_there(desk: Desk) -> None:
    memory_id, intent = adding()
    desk.fails(lambda: desk.journal.write(desk.store, intent))
    desk.lonely()
    with pytest.raises(VectorStoreUnavailable):
        desk.journal.recover(desk.store)
    assert desk.journal.unsure == 1
    desk.cluster.cut_off.clear()
    desk.journal.recover(desk.store)
    assert desk.journal.unsure == 0
    assert [*desk.alike()] == [memory_id]
