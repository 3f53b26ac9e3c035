"""Collections that mem0 itself made and filled, on a server and in a folder."""

import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from app.memory.transfer.formats import inert_pickle, qdrant_local, qdrant_server
from app.memory.transfer.records import ImportedEvent, ImportedMemory, Item, NotThisFormat
from tests.servers.qdrant import QdrantServer
from tests.unit.formats.made_by_mem0 import Made, filled
from tests.unit.formats.samples import memories, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("mem0")
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield filled(folder, monkeypatch)


def check(items: list[Item], made: Made) -> None:
    assert len(items) == 2
    found = {one.id: one for one in memories(items)}
    changed, said = found[made.changed], found[made.said]
    assert (changed.memory, changed.scope, changed.metadata) == (
        "Has a dog named Max",
        {"user_id": "alice"},
        {"kind": "pet", "n": 1},
    )
    assert [(one.event, one.old_memory, one.new_memory) for one in changed.history] == [
        ("ADD", None, "Has a dog named Rex"),
        ("UPDATE", "Has a dog named Rex", "Has a dog named Max"),
    ]
    assert changed.history[1].updated_at == changed.updated_at
    assert changed.created_at is not None
    assert changed.updated_at is not None
    assert changed.created_at < changed.updated_at
    assert said == ImportedMemory(
        line=said.line,
        id=made.said,
        memory="You like jazz",
        scope={"run_id": "r1"},
        created_at=said.created_at,
        updated_at=said.created_at,
        expiration_date="2030-01-01",
        role="assistant",
        actor_id="Al",
        history=[
            ImportedEvent(
                event="ADD",
                new_memory="You like jazz",
                created_at=said.created_at,
                updated_at=said.created_at,
                actor_id="Al",
                role="assistant",
            )
        ],
    )


def test_a_folder_of_mem0_gives_its_memories_with_their_history(made: Made) -> None:
    assert qdrant_local.is_folder_of_qdrant(made.folder)
    check(list(qdrant_local.read(made.folder, history=made.history)), made)


def test_a_server_gives_the_memories_of_mem0_with_their_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QdrantServer() as server:
        made = filled(tmp_path, monkeypatch, server.url)
        check(list(qdrant_server.read(server.url, history=made.history)), made)


def test_a_server_is_asked_page_by_page() -> None:
    with QdrantServer() as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        vectors = models.VectorParams(size=1, distance=models.Distance.COSINE)
        client.create_collection("mem0", vectors)
        texts = [f"note {n}" for n in range(2 * qdrant_server.PAGE + 1)]
        points = [
            models.PointStruct(id=n, vector=[1.0], payload={"data": text, "user_id": "alice"})
            for n, text in enumerate(texts)
        ]
        client.upsert("mem0", points)
        client.close()
        asked = len(server.requests)
        found = memories(list(qdrant_server.read(server.url)))
        assert sorted(one.memory for one in found) == sorted(texts)
        assert len(server.requests) - asked == 3


def test_a_server_that_is_not_there_says_so() -> None:
    with QdrantServer(api_key="k" * 32) as server, pytest.raises(NotThisFormat, match="401"):
        list(qdrant_server.read(server.url))
    with pytest.raises(NotThisFormat, match="No Qdrant answers"):
        list(qdrant_server.read(server.url))


def test_a_collection_that_is_not_there_is_asked_for_by_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QdrantServer() as server:
        filled(tmp_path, monkeypatch, server.url)
        with pytest.raises(NotThisFormat, match="Name the collection, one of: mem0"):
            list(qdrant_server.read(server.url, "memories"))


def test_without_a_history_there_is_none(made: Made) -> None:
    assert [one.history for one in memories(list(qdrant_local.read(made.folder)))] == [(), ()]


def test_reading_changes_nothing(made: Made) -> None:
    def files() -> dict[Path, bytes]:
        found = [path for path in made.folder.parent.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in found}

    before = files()
    list(qdrant_local.read(made.folder, history=made.history))
    assert files() == before


def test_the_history_of_another_release_is_read_as_far_as_it_goes(
    made: Made, tmp_path: Path
) -> None:
    history = tmp_path / "history.db"
    with sqlite3.connect(history) as connection:
        connection.execute("CREATE TABLE history (memory_id, event, new_memory, created_at)")
        row = (made.said.upper(), "ADD", "You like jazz", "no time")
        connection.execute("INSERT INTO history VALUES (?, ?, ?, ?)", row)
        connection.execute("INSERT INTO history VALUES (?, 'NOOP', '', '')", (made.said,))
    found = memories(list(qdrant_local.read(made.folder, history=history)))
    assert [one.history for one in found if one.id == made.said] == [
        [ImportedEvent(event="ADD", new_memory="You like jazz")]
    ]


def test_what_is_no_collection_or_history_of_mem0_says_so(made: Made, tmp_path: Path) -> None:
    with pytest.raises(NotThisFormat, match="no such collection"):
        list(qdrant_local.read(made.folder, "memories"))
    with pytest.raises(NotThisFormat, match="can be opened"):
        list(qdrant_local.read(made.folder, history=tmp_path / "nothing.db"))
    (tmp_path / "notes.db").write_bytes(b"notes " * 100)
    with pytest.raises(NotThisFormat, match="no database of mem0"):
        list(qdrant_local.read(made.folder, history=tmp_path / "notes.db"))
    copy = tmp_path / "copy"
    shutil.copytree(made.folder, copy)
    (copy / "collection" / "mem0" / "storage.sqlite").write_bytes(b"x" * 100)
    with pytest.raises(NotThisFormat, match="damaged"):
        list(qdrant_local.read(copy))
    with pytest.raises(NotThisFormat, match="there is none"):
        list(qdrant_local.read(tmp_path))


def folder_of(tmp_path: Path, *points: Any) -> Path:
    """A folder of qdrant-client whose rows are `points`, pickled where they are no bytes."""
    storage = tmp_path / "collection" / "mem0" / "storage.sqlite"
    storage.parent.mkdir(parents=True)
    with sqlite3.connect(storage) as connection:
        connection.execute("CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)")
        rows = [
            (str(n), point if isinstance(point, bytes) else pickle.dumps(point))
            for n, point in enumerate(points)
        ]
        connection.executemany("INSERT INTO points VALUES (?, ?)", rows)
    return tmp_path


class Spy:
    """Its pickle asks for a file to be made when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def point(payload: Any, point_id: Any = 1) -> models.PointStruct:
    return models.PointStruct.model_construct(id=point_id, vector=[1.0], payload=payload)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    pickle.loads(pickle.dumps(Spy(trap)))  # noqa: S301  # our own, to see that it would
    assert trap.exists()
    trap.unlink()
    spies = [Spy(trap), point({"data": Spy(trap)}), point({"data": "A", "x": [Spy(trap)]})]
    items = list(qdrant_local.read(folder_of(tmp_path / "q", *spies)))
    assert not trap.exists()
    assert len(refused(items)) == 3


def test_rows_that_are_no_memories_are_refused_each_by_itself(tmp_path: Path) -> None:
    circle: dict[str, Any] = {"data": "A", "user_id": "a"}
    circle["self"] = circle
    wide: Any = "x"
    for _ in range(9):
        wide = [wide] * 100  # a few bytes, and a hundred to the ninth values
    rows = [
        *(b"", b"not a pickle", pickle.dumps(5), b"\x80\x04\x95" + b"\xff" * 8),
        *(point(None), point({"text": "A"}), point({"data": 5}), point({"data": "A", 1: 2})),
        *(point(circle), point({"data": "A", "wide": wide})),
        point({"data": "Rex", "linked_memory_ids": ["1"]}),
        point({"data": "Likes tea", "user_id": "alice"}),
    ]
    items = list(qdrant_local.read(folder_of(tmp_path, *rows)))
    assert [one.memory for one in memories(items)] == ["Likes tea"]
    assert len(refused(items)) == len(rows) - 1


def test_of_rows_of_one_point_the_newest_counts(tmp_path: Path) -> None:
    id_ = "1b2f9c1e-5b7d-4c36-9e0a-1f2d3c4b5a60"
    rows = [point({"data": "old"}, id_.upper()), point({"data": "new"}, id_)]
    assert [
        one.memory for one in memories(list(qdrant_local.read(folder_of(tmp_path, *rows))))
    ] == ["new"]


def test_several_collections_must_be_told_apart(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, point({"data": "Likes tea"}))
    for name in ("other", "mem0_entities", "mem0migrations"):
        shutil.copytree(folder / "collection" / "mem0", folder / "collection" / name)
    with pytest.raises(NotThisFormat, match="one of: mem0, mem0_entities, mem0migrations, other"):
        list(qdrant_local.read(folder))
    assert len(list(qdrant_local.read(folder, "other"))) == 1


def test_a_pickle_of_plain_values_is_read_at_every_protocol() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        read = inert_pickle.loads(pickle.dumps(point({"data": "A", "n": [1.5, None]}), protocol))
        assert isinstance(read, inert_pickle.Inert)
        assert read.fields()["payload"] == {"data": "A", "n": [1.5, None]}
