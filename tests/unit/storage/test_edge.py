"""What is Qdrant Edge's own: one process at a time, a log that survives, names that may move."""

import ast
import inspect
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge

from app.embeddings import EmbedderInfo, Vector
from app.errors import EmbedderMismatch, StartupError, VectorStoreUnavailable
from app.storage.vectors import base
from app.storage.vectors.edge import EdgeStore, collection, shard, translation
from app.storage.vectors.edge import store as points
from app.storage.vectors.edge.details import Details
from app.storage.vectors.filters import in_scope
from tests.service import ROOT

DIMENSIONS = 8
EMBEDDER = EmbedderInfo("test/model", DIMENSIONS)
EAST: Vector = [1.0] + [0.0] * (DIMENSIONS - 1)
EVERYTHING = in_scope({}, show_expired=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "qdrant"


@pytest.fixture
def store(folder: Path) -> Iterator[EdgeStore]:
    opened = opened_for(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> EdgeStore:
    opened = opened_for(tmp_path_factory.mktemp("closed"))
    opened.close()
    return opened


def opened_for(folder: Path, embedder: EmbedderInfo = EMBEDDER) -> EdgeStore:
    store = EdgeStore(folder)
    store.prepare(embedder)
    return store


def test_a_start_gives_back_the_room_of_many_deleted_memories(
    store: EdgeStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(600)]
    store.put({id_: (EAST, payload("tea " * 500)) for id_ in ids})
    store.delete_many(ids[:150])
    store.close()
    with caplog.at_level("INFO", "app"):
        again = EdgeStore(folder)
        assert "gave back" not in caplog.text  # a quarter may stay
        again.delete_many(ids[150:400])
        again.close()
        once_more = EdgeStore(folder)
        assert "gave back" in caplog.text
        assert "gave back" in str(once_more.check())
    assert {record.id for record in once_more.scan(EVERYTHING)} == set(ids[400:])
    once_more.prepare(EMBEDDER)
    assert once_more.hybrid("tea", EAST, EVERYTHING, 5)[1]
    once_more.close()


def payload(text: str = "tea") -> dict[str, Any]:
    return {"data": text, "user_id": "u", "created_at": "2024-05-01T00:00:00+00:00"}


@contextmanager
def in_another_process(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs `code` with this module's names in reach and `folder` in a variable; ends it after."""
    start = f"from pathlib import Path; from {__name__} import *; folder = Path({str(folder)!r})"
    with subprocess.Popen(
        [sys.executable, "-c", f"{start}\n{code}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that `process` prints; where it ended, what it complained of."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline() or process.stderr.read()


def has_ended(process: subprocess.Popen[str]) -> bool:
    """Now, or a moment later."""
    try:
        process.wait(timeout=0.05)
    except subprocess.TimeoutExpired:
        return False
    return True


class TestOpening:
    def test_makes_the_folder_with_those_above_it(self, store: EdgeStore, folder: Path) -> None:
        assert folder.is_dir()

    def test_a_second_process_is_told_which_folder_is_taken_and_leaves_it_whole(
        self, store: EdgeStore, folder: Path
    ) -> None:
        """Edge's own attempt to open a folder mends the files of whoever has it open."""
        ids: list[str] = []
        with in_another_process("EdgeStore(folder)", folder) as second:
            while not has_ended(second):
                ids.append(str(uuid.uuid4()))
                store.put({ids[-1]: (EAST, payload())})
                store.flush()
            assert second.stderr
            last = second.stderr.read().strip().splitlines()[-1]
        assert second.returncode == 1
        assert last.startswith("app.errors.StartupError: Another process is using"), last
        assert f"{folder}:" in last
        assert "DATA_DIR" in last
        store.close()
        again = EdgeStore(folder)
        assert {record.id for record in again.scan(EVERYTHING)} == set(ids)
        again.close()

    def test_a_folder_that_a_killed_process_lets_go_of_is_taken_over(self, folder: Path) -> None:
        holding = "store = opened_for(folder); print('open', flush=True); input()"
        with in_another_process(holding, folder) as first, ThreadPoolExecutor() as pool:
            assert line_of(first) == "open\n"
            second = pool.submit(EdgeStore, folder)
            try:
                with pytest.raises(TimeoutError):  # it waits at the door
                    second.result(timeout=0.3)
            finally:
                first.kill()
            second.result(timeout=20).close()

    def test_an_embedder_of_another_size_leaves_the_store_as_it_was(
        self, store: EdgeStore, folder: Path
    ) -> None:
        store.put({str(uuid.uuid4()): (EAST, payload())})
        store.close()
        again = EdgeStore(folder)
        with pytest.raises(EmbedderMismatch):
            again.prepare(EmbedderInfo(EMBEDDER.name, DIMENSIONS * 2))
        again.close()
        once_more = opened_for(folder)
        assert once_more.count({}) == 1
        once_more.close()

    def test_a_file_in_the_place_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "qdrant").write_text("x")
        with pytest.raises(StartupError, match=re.escape(str(tmp_path / "qdrant"))):
            opened_for(tmp_path / "qdrant")

    def test_a_damaged_configuration_is_refused(self, store: EdgeStore, folder: Path) -> None:
        store.close()
        (folder / "edge_config.json").write_text("{")
        with pytest.raises(StartupError, match=re.escape(str(folder))):
            EdgeStore(folder)

    def test_a_creation_that_was_cut_off_is_taken_up_again(self, folder: Path) -> None:
        folder.mkdir(parents=True)  # made, and then the process ended
        store = opened_for(folder)
        store.put({str(uuid.uuid4()): (EAST, payload())})
        assert store.count({}) == 1
        store.close()

    def test_every_index_is_there(self, store: EdgeStore, folder: Path) -> None:
        store.close()
        shard = qdrant_edge.EdgeShard.load(str(folder))
        indexed = {*shard.info().payload_schema}
        shard.close()
        assert indexed == {*base.KEYWORD_INDEXES, *base.DATETIME_INDEXES}


def test_what_was_acknowledged_survives_a_killed_process(folder: Path) -> None:
    writing = (
        "store = opened_for(folder)\n"
        "for number in range(300):\n"
        "    store.put({str(uuid.UUID(int=number)): (EAST, payload(f'tea {number}'))})\n"
        "store.delete_many([str(uuid.UUID(int=0))])\n"
        "store.overwrite_payload(str(uuid.UUID(int=1)), payload('changed'))\n"
        "print('written', flush=True)\n"
        "input()\n"
    )
    with in_another_process(writing, folder) as writer:
        assert line_of(writer) == "written\n"
        writer.kill()
        assert writer.wait(10) == -signal.SIGKILL
    store = opened_for(folder)
    texts = {record.payload["data"] for record in store.scan(EVERYTHING)}
    assert texts == {"changed", *(f"tea {number}" for number in range(2, 300))}
    assert [hit.id for hit in store.hybrid("299", EAST, EVERYTHING, 5)[1]] == [
        str(uuid.UUID(int=299))
    ]
    assert store.count(in_scope({"user_id": "u"})) == 299
    store.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.put({str(uuid.uuid4()): (EAST, payload())}),
        lambda store: store.overwrite_payload(str(uuid.uuid4()), payload()),
        lambda store: store.get(str(uuid.uuid4())),
        lambda store: store.hybrid("tea", EAST, EVERYTHING, 1),
        lambda store: store.page(EVERYTHING, 1),
        lambda store: store.count(EVERYTHING),
        lambda store: store.delete_many([str(uuid.uuid4())]),
        lambda store: store.clear(),
        lambda store: store.flush(),
    ],
    ids=[
        "put",
        "overwrite_payload",
        "get",
        "hybrid",
        "page",
        "count",
        "delete_many",
        "clear",
        "flush",
    ],
)
def test_after_closing_each_call_says_unavailable(
    closed: EdgeStore, call: Callable[[EdgeStore], Any]
) -> None:
    with pytest.raises(VectorStoreUnavailable):
        call(closed)


def test_closing_twice_does_no_harm(store: EdgeStore) -> None:
    store.close()
    store.close()


def test_the_message_of_a_failure_is_written_for_the_caller(store: EdgeStore) -> None:
    missing = str(uuid.uuid4())
    with pytest.raises(VectorStoreUnavailable) as failure:
        store.overwrite_payload(missing, payload("my secret"))
    assert str(failure.value) == "The embedded vector store failed."


def test_what_is_retrieved_comes_in_the_order_that_was_asked(store: EdgeStore) -> None:
    """What spares making each id once more. Over several segments too."""
    ids = [str(uuid.uuid4()) for _ in range(300)]
    for part in (ids[:150], ids[150:]):
        store.put({id_: (EAST, payload(id_)) for id_ in part})
        store._live.optimize()
    for wanted in (ids, ids[::-1], ids[::7], sorted(ids)):
        found = store._live.retrieve(wanted, True, False)
        assert [str(point.id) for point in found] == wanted
        assert [record.payload["data"] for record in store.get_many(wanted)] == wanted


def test_sixteen_threads_lose_no_write(store: EdgeStore) -> None:
    def write(thread: int) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in range(40)]
        for point_id in ids:
            store.put({point_id: (EAST, payload(f"tea {thread}"))})
        return ids

    with ThreadPoolExecutor(16) as pool:
        written = [point_id for ids in pool.map(write, range(16)) for point_id in ids]
    assert len(written) == 640
    assert {record.id for record in store.scan(EVERYTHING)} == {*written}


def test_the_installed_version_is_the_one_that_is_pinned() -> None:
    pinned = re.search(r'"qdrant-edge-py==([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    assert version("qdrant-edge-py") == pinned[1]


@pytest.mark.parametrize(
    "module", [base, collection, shard, points, translation], ids=lambda module: module.__name__
)
def test_every_name_of_qdrant_edge_that_is_used_exists(module: Any) -> None:
    used = names_used(ast.parse(inspect.getsource(module)))
    assert used
    missing = [(name, member) for name, member in used if not hasattr(owner(name), member)]
    assert missing == []


SHARDS = {"self._live", "self.shard", "self._shard", "shard"}


def owner(name: str) -> Any:
    return qdrant_edge.EdgeShard if name in SHARDS else getattr(qdrant_edge, name)


def names_used(tree: ast.Module) -> set[tuple[str, str]]:
    """(class of qdrant_edge, its member) for each `Class.member` and each member of a shard."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "qdrant_edge"
        for alias in node.names
    }
    accesses = {
        (ast.unparse(node.value), node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    return {
        *((name, member) for name, member in accesses if name in imported | SHARDS),
        *((name, "__init__") for name in imported),
    }


def asked_words(store: EdgeStore, query: str) -> list[int]:
    """How many of the query's words each memory has that is found by them."""
    _, worded, words = store.hybrid(query, EAST, EVERYTHING, 10, ids_only=True)
    return [len(words.intersection(record.tokens)) for record in worded]


def test_the_words_of_a_memory_that_a_search_has_met_are_those_it_has_now(
    store: EdgeStore,
) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    store.put({one: (EAST, {"data": "green tea"}), other: (EAST, {"data": "green apples"})})
    assert asked_words(store, "green tea") == asked_words(store, "green tea") == [2, 1]
    store.put({one: (EAST, {"data": "green grass"})})
    assert asked_words(store, "green tea") == [1, 1]
    store.overwrite_payload(one, {"data": "green grass", "category": "plants"})
    assert asked_words(store, "green grass") == [2, 1]
    store.delete_many([one])
    store.put({one: (EAST, {"data": "black tea"})})
    assert asked_words(store, "black tea") == [2]


def test_no_more_memories_words_are_kept_than_may_be(store: EdgeStore) -> None:
    store._details = Details(at_once=4, most=3)
    for word in ("tea", "coffee", "milk", "water", "juice", "wine", "beer"):
        store.put({str(uuid.uuid4()): (EAST, {"data": word})})
        assert asked_words(store, word) == [1]
        assert 1 <= len(store._details._known) <= 3


@pytest.mark.parametrize("dimensions", [DIMENSIONS, 2 * DIMENSIONS])
def test_another_embedder_is_adopted_with_every_memory_and_no_vector(
    store: EdgeStore, dimensions: int
) -> None:
    other = EmbedderInfo("test/other", dimensions)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    store.put({id_: (EAST, {"data": "green tea"}) for id_ in ids})
    assert (store.unembedded(10), store.count_unembedded()) == ([], 0)
    store.adopt(other)
    assert store.embedder() == other
    assert ({*store.unembedded(10)}, store.count_unembedded()) == ({*ids}, 3)
    vector = [1.0] * dimensions
    assert [len(found) for found in store.hybrid("tea", vector, EVERYTHING, 10)[:2]] == [0, 3]
    store.put({ids[0]: (vector, {"data": "green tea"})})
    assert ({*store.unembedded(10)}, store.count_unembedded()) == ({*ids[1:]}, 2)
    assert [hit.id for hit in store.hybrid("tea", vector, EVERYTHING, 10)[0]] == ids[:1]


def test_an_adoption_that_was_cut_off_is_done_again(store: EdgeStore) -> None:
    other = EmbedderInfo("test/other", 2 * DIMENSIONS)
    store.put({str(uuid.uuid4()): (EAST, {"data": "green tea"})})
    store._live.update(qdrant_edge.UpdateOperation.delete_vector_name(""))  # as far as it came
    store.close()
    again = EdgeStore(store._collection.folder)
    assert again.embedder() != other
    again.adopt(other)
    assert (again.embedder(), again.count_unembedded()) == (other, 1)
    again.close()
