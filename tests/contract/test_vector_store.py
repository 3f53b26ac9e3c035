"""What every vector store must do, whichever engine is behind it."""

import hashlib
import json
import math
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any

import pytest
from qdrant_client import QdrantClient
from qdrant_edge import SparseVector

from app.embeddings import EmbedderInfo, Vector
from app.errors import EmbedderMismatch, MemoryNotFound, VectorStoreUnavailable
from app.security.scopes import Scope
from app.storage.payloads import ASKS, PLACE, Payload
from app.storage.vectors.bm25 import OLDEST, Bm25Encoder
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.filters import compile_filters, corpus_of, in_scope
from app.storage.vectors.paging import CHUNK_BYTES, PAGE, Cursor
from app.storage.vectors.ranking import Record, Turn, rank
from app.storage.vectors.server import Connection, Options, ServerStore
from app.storage.vectors.store import WHOLE_AT_ONCE, VectorStore
from tests.servers.program import BINARY, QdrantProgram
from tests.servers.qdrant import QdrantServer

DIMENSIONS = 4
OLD_WORDS = SparseVector(indices=[1, 2], values=[1.0, 1.0])
EMBEDDER = EmbedderInfo("test/model", DIMENSIONS)
EAST: Vector = [1.0, 0.0, 0.0, 0.0]
NORTH: Vector = [0.0, 1.0, 0.0, 0.0]
NORTH_EAST: Vector = [0.6, 0.8, 0.0, 0.0]
EVERYTHING = in_scope({}, show_expired=True)
START = datetime(2024, 5, 1, tzinfo=UTC)

# How to open the store that belongs to a folder: the same folder, the same data.
STORES: dict[str, Callable[[Path], VectorStore]] = {
    "edge": lambda folder: EdgeStore(folder / "qdrant"),
    "server": lambda folder: on_server(STAND_IN.url, folder),
    "server, gRPC": lambda folder: on_server(STAND_IN.url, folder, STAND_IN.grpc_port),
}
STAND_IN = QdrantServer(grpc=True)
PROGRAM = QdrantProgram(Path(mkdtemp(prefix="qdrant-"))) if BINARY else None
if PROGRAM:
    STORES["program"] = lambda folder: on_server(PROGRAM.url, folder)
    STORES["program, gRPC"] = lambda folder: on_server(PROGRAM.url, folder, PROGRAM.grpc_port)


class KeptOpen(QdrantClient):
    """For all stores of these tests: to make a client takes 60 ms."""

    def close(self, grpc_grace: float | None = None, **_: Any) -> None:
        """A store was closed; the next goes on with the same client."""

    def end(self) -> None:
        super().close()


@cache
def client(url: str, grpc_port: int) -> KeptOpen:
    # With time: a busy machine is no subject here.
    return KeptOpen(url=url, grpc_port=grpc_port, check_compatibility=False, timeout=60)


def on_server(url: str, folder: Path, grpc_port: int = 0) -> VectorStore:
    """A collection of the folder's own; unlike a folder's, it has to have a name of its own."""
    name = f"test-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    options = Options(grpc="on" if grpc_port else "off", timeout_s=60)
    return ServerStore(Connection.by(client(url, grpc_port)), name, options=options)


@pytest.fixture(scope="module", autouse=True)
def stand_in() -> Iterator[None]:
    with STAND_IN, PROGRAM or nullcontext():
        yield
        for server in filter(None, (STAND_IN, PROGRAM)):
            for port in (0, server.grpc_port):
                client(server.url, port).end()


GRPC = pytest.param("server, gRPC", marks=pytest.mark.soak)


@pytest.fixture(params=[GRPC if name == "server, gRPC" else name for name in STORES])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], VectorStore]]:
    """Opens the test's store, after closing it where it was open."""
    opened: list[VectorStore] = []

    def open_again() -> VectorStore:
        while opened:
            opened.pop().close()
        opened.append(STORES[request.param](tmp_path))
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def new(reopen: Callable[[], VectorStore]) -> VectorStore:
    """A store that no embedder has come to yet."""
    return reopen()


@pytest.fixture
def store(new: VectorStore) -> VectorStore:
    """An empty store of four dimensions."""
    new.prepare(EMBEDDER)
    return new


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def payload(text: str = "tea", **keys: Any) -> Payload:
    return {"data": text, "user_id": "u", "created_at": at(0), **keys}


def put(store: VectorStore, text: str = "tea", vector: Vector = EAST, **keys: Any) -> str:
    """Store one memory and give its id."""
    point_id = str(uuid.uuid4())
    store.put({point_id: (vector, payload(text, **keys))})
    return point_id


def put_many(store: VectorStore, times: list[float]) -> list[str]:
    """One memory for each time, in seconds; their ids in the same order."""
    ids = [str(uuid.uuid4()) for _ in times]
    store.put(
        {
            point_id: (EAST, payload(created_at=at(time)))
            for point_id, time in zip(ids, times, strict=True)
        }
    )
    return ids


def ids_of(store: VectorStore, scope: Scope | None = None, **options: Any) -> list[str]:
    return [record.id for record in store.scan(in_scope(scope or {}, **options))]


def found_by_words(
    store: VectorStore, query: str, limit: int = 5, **scope: str
) -> Sequence[Record]:
    """What a hybrid search of a scope finds by its words alone."""
    where, corpus = in_scope(scope), corpus_of(scope)
    return store.hybrid(query, EAST, where, limit, corpus=corpus)[1]


def pages(store: VectorStore, limit: int) -> Iterator[list[str]]:
    cursor = None
    for _ in range(1000):
        records, cursor = store.page(EVERYTHING, limit, cursor)
        yield [record.id for record in records]
        if cursor is None:
            return
    raise AssertionError("the pages have no end")


class TestCollection:
    def test_before_an_embedder_came_it_reads_as_an_empty_one(self, new: VectorStore) -> None:
        assert new.embedder() is None
        assert new.count(EVERYTHING) == 0
        assert new.page(EVERYTHING, 10) == ([], None)
        assert [*new.scan(EVERYTHING)] == []
        assert new.get(str(uuid.uuid4())) is None
        assert new.facet("user_id", EVERYTHING, 10) == []

    def test_before_an_embedder_came_there_is_nothing_to_delete(self, new: VectorStore) -> None:
        new.delete_many([str(uuid.uuid4())])
        new.clear()
        assert new.count(EVERYTHING) == 0

    def test_before_an_embedder_came_there_is_nothing_to_change(self, new: VectorStore) -> None:
        with pytest.raises(MemoryNotFound):
            new.overwrite_payload(str(uuid.uuid4()), payload())

    def test_before_an_embedder_came_it_checks_flushes_and_closes(self, new: VectorStore) -> None:
        new.check()
        new.flush()
        new.close()

    def test_remembers_whose_vectors_it_holds(
        self, store: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        assert store.embedder() == EMBEDDER
        assert reopen().embedder() == EMBEDDER

    @pytest.mark.parametrize(
        "other", [EmbedderInfo("test/other", DIMENSIONS), EmbedderInfo("test/model", 8)], ids=str
    )
    def test_another_embedder_is_refused_with_both_names(
        self, store: VectorStore, reopen: Callable[[], VectorStore], other: EmbedderInfo
    ) -> None:
        put(store)
        again = reopen()
        with pytest.raises(EmbedderMismatch) as refusal:
            again.prepare(other)
        assert str(EMBEDDER) in refusal.value.detail
        assert str(other) in refusal.value.detail
        again.prepare(EMBEDDER)
        assert again.count(EVERYTHING) == 1

    def test_preparing_again_changes_nothing(
        self, store: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        point_id = put(store)
        store.prepare(EMBEDDER)
        again = reopen()
        again.prepare(EMBEDDER)
        assert ids_of(again) == [point_id]


class TestZero:
    def test_is_kept_with_the_collection(self, reopen: Callable[[], VectorStore]) -> None:
        store = reopen()
        store.prepare(EMBEDDER)
        assert store.zero() is None
        store.keep_zero(0.25)
        assert store.zero() == 0.25
        again = reopen()
        assert again.zero() == 0.25
        assert again.embedder() == EMBEDDER

    def test_may_be_kept_by_many_at_once(self, reopen: Callable[[], VectorStore]) -> None:
        store = reopen()
        store.prepare(EMBEDDER)
        with ThreadPoolExecutor(8) as pool:
            assert [*pool.map(store.keep_zero, [0.25] * 64)] == [None] * 64
        assert reopen().zero() == 0.25

    def test_before_there_is_a_collection_there_is_none(self, new: VectorStore) -> None:
        assert new.zero() is None


class TestWords:
    """Those that an earlier version cut, and what makes them as texts are cut now."""

    def filled(self, store: VectorStore, *texts: str) -> list[str]:
        """Memories with words of no text, in a collection of an earlier version."""
        ids = [put(store, text, NORTH) for text in texts]
        store._update_words(dict.fromkeys(ids, OLD_WORDS))
        store._record_words(OLDEST)
        return ids

    def make(self, store: VectorStore) -> list[str]:
        """The ids of those that were made again."""
        made: list[str] = []
        for _, texts in store.old_words():
            store.put_words(texts)
            made += texts
        return made

    def test_of_a_new_collection_are_of_this_version(
        self, new: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        assert not new.has_old_words()
        assert [*new.old_words()] == []
        new.prepare(EMBEDDER)
        put(new)
        assert not new.has_old_words()
        assert not reopen().has_old_words()

    def test_are_made_again_and_found_with_the_vectors_as_they_were(
        self, store: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        korean, chinese = self.filled(store, "우리 강아지를 산책시킨다", "周末去爬山")
        assert store.has_old_words()
        assert [*found_by_words(store, "강아지"), *found_by_words(store, "爬山")] == []
        [similar] = store.hybrid("강아지", NORTH, EVERYTHING, 1, ids_only=True)[0]
        assert {*self.make(store)} == {korean, chinese}
        store.keep_words()
        again = reopen()
        again.prepare(EMBEDDER)
        assert not again.has_old_words()
        assert again.embedder() == EMBEDDER
        for query, wanted in (("강아지", korean), ("爬山", chinese)):
            [found] = found_by_words(again, query)
            assert found.id == wanted
            assert found.tokens >= {*Bm25Encoder().query(query).indices}
        assert again.hybrid("강아지", NORTH, EVERYTHING, 1)[0][0].score == pytest.approx(1)
        assert similar.score == pytest.approx(1)

    def test_that_a_search_has_met_are_found_when_they_are_other_ones(
        self, store: VectorStore
    ) -> None:
        self.filled(store, "周末去爬山")
        store.hybrid("爬山", NORTH, EVERYTHING, 5, ids_only=True)
        self.make(store)
        similar, worded, asked = store.hybrid("爬山", NORTH, EVERYTHING, 5, ids_only=True)
        assert worded[0].tokens >= asked > frozenset()
        assert worded[0].id == similar[0].id

    def test_whoever_was_cut_off_goes_on_with_what_is_left(
        self, store: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        ids = self.filled(store, *(f"爬山 {n}" for n in range(40)))
        number, first = next(store.old_words())
        store.put_words(first)
        assert 0 < number == len(first) < len(ids)
        again = reopen()
        again.prepare(EMBEDDER)
        written = put(again, "登山")
        assert again.has_old_words()
        assert {*self.make(again)} == {*ids} - {*first}
        assert sum(number for number, _ in again.old_words()) == 41
        assert self.make(again) == []
        assert found_by_words(again, "登山")[0].id == written

    def test_of_any_text_are_made_once(self, store: VectorStore) -> None:
        texts = ["", "the", "tea " * 3000, "龙井，龙井 300 INV-20417", "Straße книга الكتاب"]
        ids = self.filled(store, *texts)
        without_time = str(uuid.uuid4())
        store.put({without_time: (EAST, {"data": "tea"})})
        store._update_words({without_time: OLD_WORDS})
        assert {*self.make(store)} == {*ids, without_time}
        assert self.make(store) == []

    def test_stay_known_beside_the_zero_and_the_embedder(self, store: VectorStore) -> None:
        self.filled(store, "tea")
        store.keep_zero(0.25)
        assert store.has_old_words()
        store._record_embedder(EMBEDDER)
        assert store.has_old_words()
        store.keep_zero(0.25)
        store.keep_words()
        assert (store._read_zero(), store.embedder()) == (0.25, EMBEDDER)
        assert not store.has_old_words()

    def test_of_a_memory_that_is_gone_are_not_made(self, store: VectorStore) -> None:
        put(store)
        gone = str(uuid.uuid4())
        with suppress(MemoryNotFound, VectorStoreUnavailable):
            store.put_words({gone: "tea"})
        assert store.get(gone) is None


class TestPoints:
    def test_a_memory_comes_back_as_it_was_put(self, store: VectorStore) -> None:
        keys = {
            "name": "小明 🏔",
            "number": 3,
            "share": 0.25,
            "big": 2**63 - 1,
            "small": -(2**63),
            "yes": True,
            "nothing": None,
            "list": [1, "a", None, {"b": []}],
            "deep": {"er": {"est": "x"}},
            'odd key.[]"': "v",
            "": "empty key",
        }
        point_id = put(store, "我喜欢喝茶", **keys)
        found = store.get(point_id)
        assert found is not None
        assert found.id == point_id
        assert found.payload == payload("我喜欢喝茶", **keys)
        assert type(found.payload["yes"]) is bool
        assert type(found.payload["number"]) is int

    def test_many_come_back_each_with_its_own(self, store: VectorStore) -> None:
        ids = [put(store, f"tea {number}", number=number) for number in range(30)]
        gone = ids[7]
        store.delete_many([gone])
        asked = [*ids[::-1], str(uuid.uuid4())]
        for wanted in (asked, [id_ for id_ in asked[:-1] if id_ != gone], [ids[3], ids[3]]):
            found = {record.id: record.payload["number"] for record in store.get_many(wanted)}
            assert found == {id_: n for n, id_ in enumerate(ids) if id_ in wanted and id_ != gone}

    def test_a_missing_one_is_none(self, store: VectorStore) -> None:
        put(store)
        assert store.get(str(uuid.uuid4())) is None

    def test_putting_an_id_again_replaces_all_of_it(self, store: VectorStore) -> None:
        point_id = put(store, "green tea", EAST, colour="green")
        store.put({point_id: (NORTH, payload("black coffee"))})
        found = store.get(point_id)
        assert found is not None
        assert found.payload == payload("black coffee")
        assert store.count(EVERYTHING) == 1
        assert store.nearest(NORTH, 5, {})[0].score == pytest.approx(1)
        assert found_by_words(store, "tea") == []
        assert [hit.id for hit in found_by_words(store, "coffee")] == [point_id]

    def test_overwriting_the_payload_keeps_the_vectors(self, store: VectorStore) -> None:
        point_id = put(store, "green tea", NORTH, colour="green", mood="good")
        store.overwrite_payload(point_id, payload("green tea", colour="red"))
        found = store.get(point_id)
        assert found is not None
        assert found.payload == payload("green tea", colour="red")
        assert store.nearest(NORTH, 5, {})[0].score == pytest.approx(1)
        assert [hit.id for hit in found_by_words(store, "tea")] == [point_id]

    def test_overwriting_the_payload_of_a_missing_one_makes_none(self, store: VectorStore) -> None:
        with suppress(VectorStoreUnavailable, MemoryNotFound):  # an engine may refuse it
            store.overwrite_payload(str(uuid.uuid4()), payload())
        assert store.count(EVERYTHING) == 0

    def test_a_deleted_one_is_gone_from_everything(self, store: VectorStore) -> None:
        point_id, other = put(store), put(store)
        store.delete_many([point_id])
        assert store.get(point_id) is None
        assert ids_of(store) == [other]
        assert [hit.id for hit in store.nearest(EAST, 5, {})] == [other]
        assert [hit.id for hit in found_by_words(store, "tea")] == [other]

    def test_deleting_a_missing_one_changes_nothing(self, store: VectorStore) -> None:
        point_id = put(store)
        store.delete_many([str(uuid.uuid4())])
        store.delete_many([])
        assert ids_of(store) == [point_id]

    def test_many_are_put_and_deleted_at_once(self, store: VectorStore) -> None:
        ids = put_many(store, [*range(100)])
        assert store.count(EVERYTHING) == 100
        store.delete_many(ids[:60])
        assert sorted(ids_of(store)) == sorted(ids[60:])

    def test_one_without_a_text_is_stored(self, store: VectorStore) -> None:
        store.put({str(uuid.uuid4()): (EAST, {})})
        assert store.count({}) == 1

    def test_putting_none_at_all_changes_nothing(self, store: VectorStore) -> None:
        store.put({})
        assert store.count(EVERYTHING) == 0

    def test_clear_deletes_every_one_and_the_store_still_works(self, store: VectorStore) -> None:
        put_many(store, [*range(20)])
        store.clear()
        assert store.count({}) == 0
        assert ids_of(store) == []
        point_id = put(store)
        assert ids_of(store) == [point_id]

    def test_they_are_there_after_closing_and_opening_again(
        self, store: VectorStore, reopen: Callable[[], VectorStore]
    ) -> None:
        kept, gone = put(store, "green tea", colour="green"), put(store)
        store.delete_many([gone])
        again = reopen()
        again.prepare(EMBEDDER)
        found = again.get(kept)
        assert found is not None
        assert found.payload == payload("green tea", colour="green")
        assert again.get(gone) is None
        assert [hit.id for hit in again.nearest(EAST, 5, {})] == [kept]
        assert [hit.id for hit in found_by_words(again, "tea")] == [kept]

    def test_clearing_lasts(self, store: VectorStore, reopen: Callable[[], VectorStore]) -> None:
        put(store)
        store.clear()
        assert reopen().count({}) == 0

    def test_flush_keeps_what_is_there(self, store: VectorStore) -> None:
        point_id = put(store)
        store.flush()
        assert ids_of(store) == [point_id]


@pytest.mark.parametrize(
    "wrong",
    [
        [1.0] * (DIMENSIONS - 1),
        [1.0] * (DIMENSIONS + 1),
        [1.0, math.nan, 0.0, 0.0],
        [-math.inf, 0.0, 0.0, 0.0],
    ],
    ids=str,
)
class TestWrongVectors:
    def test_are_refused_before_anything_is_written(
        self, store: VectorStore, reopen: Callable[[], VectorStore], wrong: Vector
    ) -> None:
        good, bad = str(uuid.uuid4()), str(uuid.uuid4())
        with pytest.raises(ValueError, match="vector"):
            store.put({good: (EAST, payload()), bad: (wrong, payload())})
        assert store.count({}) == 0
        again = reopen()  # Edge would replay what it logged and then refused
        assert again.count({}) == 0
        assert again.get(bad) is None

    def test_leave_the_memory_they_were_meant_to_change(
        self, store: VectorStore, reopen: Callable[[], VectorStore], wrong: Vector
    ) -> None:
        point_id = put(store, "tea")
        with pytest.raises(ValueError, match="vector"):
            store.put({point_id: (wrong, payload("coffee"))})
        found = reopen().get(point_id)
        assert found is not None
        assert found.payload["data"] == "tea"

    def test_are_refused_as_a_query(self, store: VectorStore, wrong: Vector) -> None:
        with pytest.raises(ValueError, match="vector"):
            store.hybrid("tea", wrong, EVERYTHING, 10)
        with pytest.raises(ValueError, match="vector"):
            store.nearest(wrong, 5, {})


# One memory for each name; the filters below are asked of all of them.
MEMORIES: dict[str, dict[str, Any]] = {
    "none": {},
    "true": {"a": True},
    "false": {"a": False},
    "0": {"a": 0},
    "1": {"a": 1},
    "7": {"a": 7},
    "1.5": {"a": 1.5},
    "-2.5": {"a": -2.5},
    "null": {"a": None},
    "text 1": {"a": "1"},
    "text true": {"a": "true"},
    "sentence": {"a": "The Quick brown fox, 100%"},
    "chinese": {"a": "龙井茶"},
    "list": {"a": ["red", "Light Blue"]},
    "numbers": {"a": [3, 30]},
    "empty list": {"a": []},
    "empty text": {"a": ""},
    "may": {"at": "2024-05-01"},
    "june": {"at": "2024-06-01T10:00:00"},
    "june +02": {"at": "2024-06-01T10:00:00+02:00"},
    "july": {"at": "2024-07-01T00:00:00Z"},
    "oslo": {"address": {"city": "Oslo", "zip": {"code": 150}}},
    "rome": {"address": {"city": "Rome"}, "a": "rome"},
    "odd": dict.fromkeys(["two words", "a[0]", "a/b", "名字", "é", "a-b_c", "'", "\n", "🏔"], "x"),
    "whole": {"whole": 5},
    "whole.0": {"whole": 5.0},
    "huge": {"huge": 2**63 - 1},
    "huge - 1": {"huge": 2**63 - 2},
}  # fmt: skip
WITH_A = {
    *("true", "false", "0", "1", "7", "1.5", "-2.5", "text 1", "text true", "sentence"),
    *("chinese", "list", "numbers", "empty text", "rome"),
}
WITH_AT = {"may", "june", "june +02", "july"}


@pytest.fixture(scope="module", params=STORES)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorStore]:
    """A store with MEMORIES, only to be read from."""
    store = STORES[request.param](tmp_path_factory.mktemp("filters"))
    store.prepare(EMBEDDER)
    for name, keys in MEMORIES.items():
        put(store, name=name, **keys)
    yield store
    store.close()


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, {*MEMORIES}),
            ({"a": True}, {"true"}),
            ({"a": False}, {"false"}),
            ({"a": 1}, {"1"}),
            ({"a": 0}, {"0"}),
            ({"a": 1.5}, {"1.5"}),
            ({"a": -2.5}, {"-2.5"}),
            ({"a": 7.0}, {"7"}),
            ({"a": "1"}, {"text 1"}),
            ({"a": ""}, {"empty text"}),
            ({"a": "龙井茶"}, {"chinese"}),
            ({"a": None}, {"null"}),
            ({"a": "red"}, {"list"}),
            ({"a": 30}, {"numbers"}),
            ({"a": "*"}, WITH_A),
            ({"b": "*"}, set()),
            ({"a": {"eq": 7}}, {"7"}),
            ({"a": {"ne": 7}}, WITH_A - {"7"}),
            ({"a": {"ne": True}}, WITH_A - {"true"}),
            ({"a": {"ne": "red"}}, WITH_A - {"list"}),
            ({"a": {"ne": None}}, WITH_A),
            ({"b": {"ne": 1}}, set()),
            ({"a": {"in": [7, "1", None, False]}}, {"7", "text 1", "null", "false"}),
            ({"a": [1.5, "red"]}, {"1.5", "list"}),
            ({"a": ["1", "red", "龙井茶", ""]}, {"text 1", "list", "chinese", "empty text"}),
            ({"a": {"in": ["1", "red", None, 7]}}, {"text 1", "list", "null", "7"}),
            ({"a": {"in": ["1", "red", "*"]}}, WITH_A),
            ({"a": {"nin": ["1", "red"]}}, WITH_A - {"text 1", "list"}),
            ({"a": {"nin": [7, "1", True]}}, WITH_A - {"7", "text 1", "true"}),
            ({"b": {"nin": [1]}}, set()),
            ({"a": {"gt": 1}}, {"1.5", "7", "numbers"}),
            ({"a": {"gte": 1}}, {"1", "1.5", "7", "numbers"}),
            ({"a": {"lt": 0}}, {"-2.5"}),
            ({"a": {"lte": 0}}, {"-2.5", "0"}),
            ({"a": {"gte": 0, "lt": 1.5}}, {"0", "1"}),
            ({"a": {"gt": 5, "ne": 7}}, {"numbers"}),
            ({"at": {"gt": "2024-06-01"}}, {"june", "june +02", "july"}),
            ({"at": {"gte": "2024-06-01T10:00:00"}}, {"june", "july"}),
            ({"at": {"lt": "2024-06-01T10:00:00+00:00"}}, {"may", "june +02"}),
            ({"at": {"lte": "2024-06-01T08:00:00Z"}}, {"may", "june +02"}),
            ({"at": {"gte": "2024-05-01", "lt": "2024-05-02"}}, {"may"}),
            ({"a": {"contains": "Quick"}}, {"sentence"}),
            ({"a": {"contains": "ick bro"}}, {"sentence"}),
            ({"a": {"contains": "quick"}}, set()),
            ({"a": {"contains": "%"}}, {"sentence"}),
            ({"a": {"contains": "井"}}, {"chinese"}),
            ({"a": {"contains": "Blue"}}, {"list"}),
            ({"a": {"icontains": "QUICK"}}, {"sentence"}),
            ({"a": {"icontains": "light blue"}}, {"list"}),
            ({"a": {"icontains": "龙井茶"}}, {"chinese"}),
            ({"address.city": "Oslo"}, {"oslo"}),
            ({"address.zip.code": {"gt": 100}}, {"oslo"}),
            ({"address.city": {"ne": "Oslo"}}, {"rome"}),
            ({"two words": "x"}, {"odd"}),
            ({"a[0]": "x"}, {"odd"}),
            ({"a/b": "x"}, {"odd"}),
            ({"名字": "x"}, {"odd"}),
            ({"é": "x"}, {"odd"}),
            ({"a-b_c": "x"}, {"odd"}),
            ({"'": "x"}, {"odd"}),
            ({"\n": "x"}, {"odd"}),
            ({"🏔": "x"}, {"odd"}),
            ({"a": "rome", "address.city": "Rome"}, {"rome"}),
            ({"a": "rome", "address.city": "Oslo"}, set()),
            ({"AND": [{"a": {"gt": 0}}, {"a": {"lt": 7}}]}, {"1", "1.5", "numbers"}),
            ({"OR": [{"a": 1}, {"address.city": "Oslo"}]}, {"1", "oslo"}),
            ({"NOT": [{"a": "*"}, {"at": "*"}]}, {*MEMORIES} - WITH_A - WITH_AT),
            ({"a": {"gte": 1}, "NOT": [{"a": 7}]}, {"1", "1.5", "numbers"}),
            (
                {"OR": [{"a": 7}, {"AND": [{"a": {"gt": 0}}, {"NOT": [{"a": 1}, {"a": 30}]}]}]},
                {"7", "1.5"},
            ),
            ({"NOT": [{"NOT": [{"a": 7}]}]}, {"7"}),
            ({"huge": 2**63 - 1}, {"huge"}),
        ],
        ids=lambda value: json.dumps(value, ensure_ascii=False) if type(value) is dict else "",
    )
    def test_hold_for_exactly_these(
        self, filled: VectorStore, filters: dict[str, Any], expected: set[str]
    ) -> None:
        where = in_scope({"user_id": "u"}, extra=compile_filters(filters))
        assert {record.payload["name"] for record in filled.scan(where)} == expected
        assert filled.count(where) == len(expected)

    @pytest.mark.parametrize("number", [5, 5.0], ids=repr)
    def test_a_whole_number_is_the_same_however_it_is_written(
        self, filled: VectorStore, number: float
    ) -> None:
        # JSON knows one kind of number: a client may store 5.0 and ask for 5.
        where = in_scope({}, extra=compile_filters({"whole": number}))
        assert {record.payload["name"] for record in filled.scan(where)} == {"whole", "whole.0"}

    def test_never_leave_the_scope(self, filled: VectorStore) -> None:
        anything = compile_filters({"OR": [{"a": "*"}, {"NOT": [{"a": "*"}]}]})
        assert filled.count(in_scope({"user_id": "u"}, extra=anything)) == len(MEMORIES)
        assert filled.count(in_scope({"user_id": "v"}, extra=anything)) == 0

    @pytest.mark.parametrize(
        "filters",
        [
            {"at": {"gt": "2024-06-01T10:00:00+05:30:15"}},
            {"at": {"gt": "0001-01-01T00:00:00+14:00"}},
            {"at": {"lt": "9999-12-31T23:59:59.999999-12:00"}},
            {"at": {"gt": "2024-W01-1"}},
            {"a": {"gt": 2**70}},
            {"a": {"gt": math.nan}},
            {"a": math.inf},
            {"a": -(2**63)},
            {"\x00": "\x00"},
            {"a": {"contains": "\x00"}},
            {"a": {"icontains": "."}},
            {"\u200d": 1},
        ],
        ids=str,
    )
    def test_what_compiles_can_be_asked(self, filled: VectorStore, filters: Any) -> None:
        try:
            where = compile_filters(filters)
        except ValueError:
            return  # refused, with a reason for the caller
        assert filled.count(where) == len([*filled.scan(where)])


class TestScope:
    def test_each_of_its_keys_must_match(self, store: VectorStore) -> None:
        both = put(store, user_id="u", agent_id="a")
        alone = put(store, user_id="u")
        other = put(store, user_id="v", agent_id="a")
        assert sorted(ids_of(store, {"user_id": "u"})) == sorted([both, alone])
        assert ids_of(store, {"user_id": "u", "agent_id": "a"}) == [both]
        assert sorted(ids_of(store)) == sorted([both, alone, other])

    def test_matches_whole_ids_only(self, store: VectorStore) -> None:
        point_id = put(store, user_id="Alice-1")
        for near in ("alice-1", "Alice", "Alice-10", "*", "Alice-1 "):
            assert ids_of(store, {"user_id": near}) == []
        assert ids_of(store, {"user_id": "Alice-1"}) == [point_id]

    def test_expired_memories_are_outside_unless_they_are_asked_for(
        self, store: VectorStore
    ) -> None:
        today = datetime.now(UTC).date()
        days = {"over": -1, "ending": 0, "coming": 1}
        ids = {
            name: put(store, expiration_date=(today + timedelta(days=offset)).isoformat())
            for name, offset in days.items()
        }
        ids["endless"] = put(store)
        shown = {*ids.values()} - {ids["over"]}
        assert {*ids_of(store)} == shown
        assert {*ids_of(store, show_expired=True)} == {*ids.values()}
        for found in store.hybrid("tea", EAST, in_scope({}), 10)[:2]:
            assert {record.id for record in found} == shown
        assert {hit.id for hit in store.nearest(EAST, 5, {})} == shown
        assert {hit.id for hit in found_by_words(store, "tea")} == shown


class TestPages:
    def test_are_newest_first(self, store: VectorStore) -> None:
        ids = put_many(store, [3, 1, 2.000002, 2.000001])
        newest_first = [ids[0], ids[2], ids[3], ids[1]]
        assert [record.id for record in store.page(EVERYTHING, 10)[0]] == newest_first
        assert [*pages(store, 1)] == [[point_id] for point_id in newest_first]

    def test_order_by_the_instant_whatever_the_zone(self, store: VectorStore) -> None:
        late = put(store, created_at="2024-05-01T01:00:00-02:00")
        early = put(store, created_at="2024-05-01T04:00:00+02:00")
        middle = put(store, created_at="2024-05-01T02:30:00Z")
        naive = put(store, created_at="2024-05-01T02:15:00")
        assert [*pages(store, 1)] == [[late], [middle], [naive], [early]]

    def test_the_last_one_has_no_cursor(self, store: VectorStore) -> None:
        put_many(store, [1, 2, 3, 4])
        assert [len(page) for page in pages(store, 2)] == [2, 2]
        assert [len(page) for page in pages(store, 3)] == [3, 1]
        assert [len(page) for page in pages(store, 4)] == [4]

    def test_of_an_empty_store_are_one_empty_page(self, store: VectorStore) -> None:
        assert [*pages(store, 5)] == [[]]

    @pytest.mark.parametrize("limit", [1, 7, 49, 50])
    def test_give_each_of_fifty_memories_of_one_time_once(
        self, store: VectorStore, limit: int
    ) -> None:
        ids = put_many(store, [0.0] * 50)
        given = [point_id for page in pages(store, limit) for point_id in page]
        assert len(given) == 50
        assert sorted(given) == sorted(ids)

    def test_go_on_past_memories_of_one_time(self, store: VectorStore) -> None:
        newer, tied, older = (
            put_many(store, [9.0]),
            put_many(store, [5.0] * 5),
            put_many(store, [1.0, 0.0]),
        )
        given = [point_id for page in pages(store, 2) for point_id in page]
        assert given[:1] == newer
        assert sorted(given[1:6]) == sorted(tied)
        assert given[6:] == older

    def test_keep_to_their_filter(self, store: VectorStore) -> None:
        mine = {put(store, user_id="u") for _ in range(3)}
        for _ in range(3):
            put(store, user_id="v")
        where = in_scope({"user_id": "u"})
        first, cursor = store.page(where, 2)
        second, end = store.page(where, 2, cursor)
        assert end is None
        assert {record.id for record in first + second} == mine

    def test_neither_repeat_nor_lose_others_when_memories_come_and_go(
        self, store: VectorStore
    ) -> None:
        ids = put_many(store, [*range(20, 10, -1), *[10.0] * 10])
        reading = pages(store, 3)
        given = [*next(reading), *next(reading)]
        store.delete_many([given[0], given[5], ids[7]])  # two that were given, one to come
        put_many(store, [100.0])  # newer than any that were given: not part of this reading
        between = put_many(store, [12.5, 10.0])  # these are still to come
        given += [point_id for page in reading for point_id in page]
        assert len(given) == len({*given})
        assert {*given} == {*ids, *between} - {ids[7]}

    def test_give_every_old_memory_once_while_threads_write(self, store: VectorStore) -> None:
        ids = put_many(store, [number / 3 // 1 for number in range(120)])
        written, done = Event(), Event()

        def write() -> None:
            while not done.is_set():
                store.delete_many(put_many(store, [50.0, 20.0, 0.5]))
                written.set()

        given = []
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            try:
                for page in pages(store, 7):
                    given += page
                    written.clear()
                    assert written.wait(20)  # one whole write at least between two pages
            finally:
                done.set()
            writing.result()
        assert sorted(point_id for point_id in given if point_id in {*ids}) == sorted(ids)

    def test_chunks_are_bounded_in_bytes_and_are_the_listing(self, store: VectorStore) -> None:
        large = "x" * (CHUNK_BYTES // 4)
        ids = [put(store, large, created_at=at(-number)) for number in range(10)]
        chunks = [*store.chunks(EVERYTHING)]
        assert [record.id for chunk in chunks for record in chunk.items] == ids
        assert len(chunks) > 1 or store.read_at_once > 10
        assert all(chunk.size < CHUNK_BYTES + store.read_at_once * 1.1e6 for chunk in chunks)
        assert chunks[-1].cursor is None
        for chunk, rest in pairwise(chunks):
            assert next(store.chunks(EVERYTHING, 1, chunk.cursor)).items == rest.items[:1]

    def test_nested_metadata_counts_for_more_than_its_text(self, store: VectorStore) -> None:
        for number in range(20):
            put(store, created_at=at(-number), nested=[{"a": 1}] * 7000)
        assert len([*store.chunks(EVERYTHING)]) > 1 or store.read_at_once > 10
        assert next(store.chunks(EVERYTHING, 1)).size > 500_000

    def test_scan_reads_all_pages(self, store: VectorStore) -> None:
        ids = put_many(store, [float(number // 700) for number in range(PAGE * 2 + 10)])
        given = ids_of(store)
        assert len(given) == len(ids)
        assert {*given} == {*ids}

    def test_scan_goes_on_from_a_cursor(self, store: VectorStore) -> None:
        ids = put_many(store, [5, 4, 3, 2, 1])
        _, cursor = store.page(EVERYTHING, 2)
        assert [record.id for record in store.scan(EVERYTHING, cursor)] == ids[2:]

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_can_be_asked_for_by_number(self, store: VectorStore, size: int) -> None:
        ids = put_many(store, [5, 4, 4, 4, 1])
        given = [record.id for record in store.page(EVERYTHING, size)[0]]
        number = 1
        while after := store.skip(EVERYTHING, number, size):
            given += [record.id for record in store.page(EVERYTHING, size, after)[0]]
            number += 1
        assert sorted(given) == sorted(ids)
        assert store.skip(EVERYTHING, number + 1, size) is None


class TestCursor:
    def test_comes_back_from_its_text(self, store: VectorStore) -> None:
        put_many(store, [0.123456] * 3)
        _, cursor = store.page(EVERYTHING, 2)
        assert cursor is not None
        assert len(cursor.ids) == 2
        assert Cursor.decode(cursor.encode()) == cursor

    def test_goes_on_from_its_text(self, store: VectorStore) -> None:
        ids = put_many(store, [2, 1])
        _, cursor = store.page(EVERYTHING, 1)
        assert cursor is not None
        records, _ = store.page(EVERYTHING, 1, Cursor.decode(cursor.encode()))
        assert [record.id for record in records] == ids[1:]

    def test_is_plain_ascii_for_urls(self) -> None:
        text = Cursor(START, (str(uuid.uuid4()),) * 20).encode()
        assert text.replace("-", "").replace("_", "").replace("=", "").isalnum()

    @pytest.mark.parametrize(
        "made",
        [
            [],
            {},
            None,
            5,
            "text",
            [5],
            [None],
            ["yesterday"],
            [at(0), "not a uuid"],
            [at(0), 5],
            [at(0), ["00000000-0000-4000-8000-000000000000"]],
        ],
        ids=str,
    )
    def test_of_another_content_is_refused(self, made: Any) -> None:
        with pytest.raises(ValueError, match="not a cursor"):
            Cursor.decode(urlsafe_b64encode(json.dumps(made).encode()).decode())

    @pytest.mark.parametrize("text", ["", "x", "é", "!!!!", "////", "[]", "W" * 7, "W1tb" * 50_000])
    def test_that_nobody_made_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a cursor"):
            Cursor.decode(text)

    @pytest.mark.parametrize(
        "time",
        [
            "2024-01-01T00:00:00+00:00:01",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-12:00",
            "2024-01-01",
        ],
    )
    def test_that_decodes_can_be_paged_from(self, filled: VectorStore, time: str) -> None:
        try:
            cursor = Cursor.decode(urlsafe_b64encode(json.dumps([time]).encode()).decode())
        except ValueError:
            return  # refused, with a reason for the caller
        earlier = len([*filled.scan(EVERYTHING, cursor)])
        assert earlier == (len(MEMORIES) if cursor.time > START else 0)


class TestHybrid:
    def test_gives_one_list_by_meaning_and_one_by_words(self, store: VectorStore) -> None:
        near = put(store, "a mountain walk", NORTH_EAST)
        named = put(store, "invoice INV-20417", EAST)
        similar, worded, _ = store.hybrid("INV-20417", NORTH, EVERYTHING, 10)
        assert [record.id for record in similar] == [near, named]
        assert [record.score for record in similar] == pytest.approx([0.8, 0.0], abs=1e-6)
        assert [record.id for record in worded] == [named]
        assert worded[0].score > 0
        assert worded[0].payload["data"] == "invoice INV-20417"

    def test_compares_directions_and_not_lengths(self, store: VectorStore) -> None:
        put(store, vector=[0.0, 250.0, 0.0, 0.0])
        put(store, vector=[-0.001, 0.0, 0.0, 0.0])
        similar, _, _ = store.hybrid("", [3.0, 4.0, 0.0, 0.0], EVERYTHING, 10)
        assert [record.score for record in similar] == pytest.approx([0.8, -0.6], abs=1e-6)

    def test_tells_the_words_that_query_and_memory_share(self, store: VectorStore) -> None:
        put(store, "green tea")
        _, worded, words = store.hybrid("tea mountains", EAST, EVERYTHING, 10)
        assert len(words) == 2
        assert len(words & worded[0].tokens) == 1

    def test_knows_a_word_in_other_forms(self, store: VectorStore) -> None:
        put(store, "I LOVE Hiking")
        _, worded, words = store.hybrid("love hiking", EAST, EVERYTHING, 10)
        assert worded[0].tokens >= words

    def test_finds_chinese_words_inside_a_sentence(self, store: VectorStore) -> None:
        tea = put(store, "我喜欢在周末去爬山，也喜欢喝龙井茶")
        put(store, "他在北京工作")
        put(store, "I love hiking")
        _, worded, _ = store.hybrid("龙井茶", EAST, EVERYTHING, 10)
        assert [record.id for record in worded] == [tea]

    @pytest.mark.parametrize("query", ["the of and", "", "?!。 —"])
    def test_a_query_without_words_is_answered_by_meaning_alone(
        self, store: VectorStore, query: str
    ) -> None:
        point_id = put(store, "the of and ?! —")
        similar, worded, words = store.hybrid(query, EAST, EVERYTHING, 10)
        assert [record.id for record in similar] == [point_id]
        assert (worded, words) == ([], frozenset())

    def test_a_text_without_words_is_still_found_by_meaning(self, store: VectorStore) -> None:
        point_id = put(store, "?!")
        similar, worded, _ = store.hybrid("tea", EAST, EVERYTHING, 10)
        assert [record.id for record in similar] == [point_id]
        assert worded == []

    def test_a_rare_word_counts_for_more_than_a_common_one(self, store: VectorStore) -> None:
        for _ in range(20):
            put(store, "coffee please")
        rare = put(store, "invoice please")
        _, worded, _ = store.hybrid("coffee invoice", EAST, EVERYTHING, 50)
        assert worded[0].id == rare
        assert worded[0].score > 5 * worded[1].score

    def test_a_memory_with_more_of_the_words_comes_first(self, store: VectorStore) -> None:
        put(store, "green shirt")
        both = put(store, "green tea")
        put(store, "tea cup")
        _, worded, _ = store.hybrid("green tea", EAST, EVERYTHING, 10)
        assert worded[0].id == both
        assert len(worded) == 3

    def test_stays_within_the_scope_in_both_lists(self, store: VectorStore) -> None:
        mine = put(store, "green tea", NORTH_EAST, user_id="u")
        for _ in range(30):
            put(store, "tea tea tea", EAST, user_id="v")
        for found in store.hybrid("tea", EAST, in_scope({"user_id": "u"}), 5)[:2]:
            assert [record.id for record in found] == [mine]

    def test_gives_as_many_as_are_asked_for_of_each_list(self, store: VectorStore) -> None:
        put_many(store, [*range(10)])
        similar, worded, _ = store.hybrid("tea", EAST, EVERYTHING, 4)
        assert (len(similar), len(worded)) == (4, 4)

    def test_without_a_vector_it_is_by_words_alone(self, store: VectorStore) -> None:
        point_id = put(store, "green tea")
        put(store, "coffee")
        similar, worded, _ = store.hybrid("tea", None, EVERYTHING, 10)
        assert ([*similar], [record.id for record in worded]) == ([], [point_id])
        assert store.hybrid("of the", None, EVERYTHING, 10) == ([], [], frozenset())

    @pytest.mark.parametrize("ids_only", [False, True])
    def test_what_only_one_list_has_gets_its_score_of_the_other_too(
        self, store: VectorStore, ids_only: bool
    ) -> None:
        for vector in (EAST, NORTH_EAST):
            put(store, "coffee", vector)
        for _ in range(2):
            put(store, "green tea", NORTH)
        put(store, "tea " * 9, NORTH_EAST, user_id="v")
        scope = {"user_id": "u"}
        similar, worded, words = store.hybrid(
            "tea", EAST, in_scope(scope), 2, corpus=corpus_of(scope), ids_only=ids_only
        )
        assert [round(record.score, 3) for record in similar] == [1, 0.6, 0, 0]
        assert len(worded) == 2
        assert worded[0].score == worded[1].score > 0
        assert {record.id for record in similar[2:]} == {record.id for record in worded}
        similar, worded, words = store.hybrid(
            "tea coffee", NORTH, in_scope(scope), 2, corpus=corpus_of(scope), ids_only=ids_only
        )
        assert all(words.intersection(record.tokens) for record in worded)
        assert {record.id for record in similar} == {record.id for record in worded}

    @pytest.mark.parametrize("limit", [10, 1000])
    @pytest.mark.parametrize("ids_only", [False, True])
    def test_tells_the_turn_of_each_memory_in_its_conversation(
        self, store: VectorStore, ids_only: bool, limit: int
    ) -> None:
        put(store, "green tea?", run_id="r", **{PLACE: 7, ASKS: True})
        turn = Turn(("u", None, None, "r"), 7, None, True)
        for _ in range(2):  # read, and then known
            similar, worded, _ = store.hybrid("tea", EAST, EVERYTHING, limit, ids_only=ids_only)
            assert [record.turn for record in (*similar, *worded)] == [turn, turn]

    def test_what_is_written_over_has_another_turn(self, store: VectorStore) -> None:
        point_id = put(store, **{PLACE: 7})
        for place in (7, 8):
            store.overwrite_payload(point_id, payload(**{PLACE: place}))
            [similar], _, _ = store.hybrid("tea", EAST, EVERYTHING, 10, ids_only=True)
            assert similar.turn.number == place

    @pytest.mark.parametrize("others", [0, 1, 3, 10])
    def test_words_are_counted_in_the_corpus_that_is_named(
        self, store: VectorStore, others: int
    ) -> None:
        for text in ("zebra", "quince", "quince"):
            put(store, text)
        put(store, "zebra", expiration_date="2000-01-01")
        for _ in range(others):
            put(store, "zebra", user_id="v")
        scope = {"user_id": "u"}
        _, worded, _ = store.hybrid(
            "zebra quince", EAST, in_scope(scope), 10, corpus=corpus_of(scope)
        )
        weight = Bm25Encoder().document("zebra").values[0]
        idf = math.log((4 - 2 + 0.5) / (2 + 0.5) + 1)  # two of four memories have each
        assert [hit.score for hit in worded] == pytest.approx([weight * idf] * 3, rel=1e-5)
        found = found_by_words(store, "zebra", 1, **scope)
        assert found[0].score == pytest.approx(weight * idf, rel=1e-5)

    def test_without_a_corpus_words_are_counted_in_all_memories(self, store: VectorStore) -> None:
        put(store, "zebra")
        for _ in range(3):
            put(store, "quince", user_id="v")
        _, worded, _ = store.hybrid("zebra", EAST, in_scope({}), 10, corpus=corpus_of({}))
        weight = Bm25Encoder().document("zebra").values[0]
        idf = math.log((4 - 1 + 0.5) / (1 + 0.5) + 1)
        assert worded[0].score == pytest.approx(weight * idf, rel=1e-5)

    def test_lists_of_ids_rank_like_hydrated_ones(self, store: VectorStore) -> None:
        for text in ("green tea", "tea", "black coffee", "tea and cake", "green shirt " * 400):
            put(store, text, EAST if "tea" in text else NORTH_EAST)
        hydrated = rank(*store.hybrid("green tea", NORTH, EVERYTHING, 10), 10)
        for limit in (10, 10, 1000):  # the words are read, and then known
            lists = store.hybrid("green tea", NORTH, EVERYTHING, limit, ids_only=True)
            ids_only = rank(*lists, 10)
            records = store.hydrate([found.record for found in ids_only])
            assert [record and record.id for record in records] == [f.record.id for f in hydrated]
            assert [record and record.payload for record in records] == [
                found.record.payload for found in hydrated
            ]
            assert [found.score for found in ids_only] == [found.score for found in hydrated]

    def test_of_an_empty_store_finds_nothing(self, store: VectorStore) -> None:
        assert store.hybrid("tea", EAST, EVERYTHING, 10)[:2] == ([], [])

    def test_takes_a_null_vector(self, store: VectorStore) -> None:
        point_id = put(store, vector=[0.0] * DIMENSIONS)
        similar, _, _ = store.hybrid("tea", [0.0] * DIMENSIONS, EVERYTHING, 10)
        assert [(record.id, record.score) for record in similar] == [(point_id, 0.0)]

    def test_a_text_of_100000_words_is_kept_and_found(self, store: VectorStore) -> None:
        point_id = put(store, "tea " * 99_999 + "unique")
        _, worded, _ = store.hybrid("unique", EAST, EVERYTHING, 10)
        assert [record.id for record in worded] == [point_id]


class TestFacet:
    def test_counts_the_memories_of_each_value_most_first_then_by_value(
        self, store: VectorStore
    ) -> None:
        for user in "bcabcc":
            put(store, user_id=user)
        put(store, user_id="b", run_id="r", app_id="p")
        hits = [("b", 3), ("c", 3), ("a", 1)]
        assert store.facet("user_id", EVERYTHING, 10) == hits
        assert store.facet("user_id", EVERYTHING, 2) == hits[:2]
        assert store.facet("run_id", EVERYTHING, 10) == [("r", 1)]
        assert store.facet("app_id", EVERYTHING, 10) == [("p", 1)]
        assert store.facet("agent_id", EVERYTHING, 10) == []

    def test_counts_what_passes_the_filter(self, store: VectorStore) -> None:
        put(store, user_id="u", run_id="r")
        put(store, user_id="v", run_id="r")
        put(store, user_id="v", run_id="r", expiration_date="2000-01-01")
        assert store.facet("run_id", in_scope({}), 10) == [("r", 2)]
        assert store.facet("run_id", in_scope({"user_id": "v"}), 10) == [("r", 1)]
        assert store.facet("user_id", in_scope({"user_id": "v"}), 10) == [("v", 1)]

    def test_follows_what_is_changed_and_deleted(self, store: VectorStore) -> None:
        gone, moved, _ = put(store), put(store), put(store)
        store.delete_many([gone])
        store.overwrite_payload(moved, payload(user_id="v"))
        assert store.facet("user_id", EVERYTHING, 10) == [("u", 1), ("v", 1)]

    def test_keeps_chinese_and_signs(self, store: VectorStore) -> None:
        put(store, user_id="李雷@example.com#1")
        assert store.facet("user_id", EVERYTHING, 10) == [("李雷@example.com#1", 1)]


class TestNearest:
    def test_gives_the_nearest_of_a_scope_with_payloads(self, store: VectorStore) -> None:
        far, near = put(store, "far", NORTH), put(store, "near", NORTH_EAST)
        put(store, "other", EAST, user_id="v")
        found = store.nearest(EAST, 5, {"user_id": "u"})
        assert [(hit.id, hit.payload["data"]) for hit in found] == [(near, "near"), (far, "far")]
        assert [hit.score for hit in found] == pytest.approx([0.6, 0.0], abs=1e-6)
        assert len(store.nearest(EAST, 1, {})) == 1

    def test_of_an_empty_store_finds_nothing(self, store: VectorStore) -> None:
        assert store.nearest(EAST, 5, {}) == []


def test_ids_are_texts_everywhere(store: VectorStore) -> None:
    point_id = put(store)
    answers = [
        *store.nearest(EAST, 5, {}),
        *found_by_words(store, "tea"),
        *store.page(EVERYTHING, 1)[0],
        *store.scan(EVERYTHING),
        *store.hybrid("tea", EAST, EVERYTHING, 1)[0],
        *store.hybrid("tea", EAST, EVERYTHING, 1)[1],
        store.get(point_id),
    ]
    assert len(answers) == 7
    assert {(type(found.id), found.id) for found in answers if found} == {(str, point_id)}


def test_a_memory_is_read_with_its_vector_and_put_again_it_is_the_same(store: VectorStore) -> None:
    first, second, missing = (str(uuid.uuid4()) for _ in range(3))
    payloads = {id_: {"data": id_, "created_at": at(0)} for id_ in (first, second)}
    store.put({first: ([3.0, 4.0, 0.1, 0.2], payloads[first]), second: (NORTH, payloads[second])})
    whole = store.get_whole([second, missing, first])
    assert [one.record.id for one in whole] == [second, first]
    assert whole[0].vector == NORTH
    assert whole[1].record.payload == payloads[first]
    store.put({one.record.id: (one.vector or [], one.record.payload) for one in whole})
    again = store.get_whole([second, missing, first])
    assert [one.record for one in again] == [one.record for one in whole]
    # A server makes vectors of length 1 once more, which may change the last bit.
    for one, before in zip(again, whole, strict=True):
        assert one.vector == pytest.approx(before.vector, rel=1e-6)


class TestWholePoints:
    """As backups read and write them."""

    def test_before_an_embedder_came_there_are_none(self, new: VectorStore) -> None:
        assert [*new.wholes()] == []

    def test_each_comes_once_with_its_vector_and_payload(self, store: VectorStore) -> None:
        ids = put_many(store, [*range(WHOLE_AT_ONCE + 3)])
        north = put(store, "coffee", NORTH, kind="drink")
        found = [*store.wholes()]
        assert sorted(one.record.id for one in found) == sorted([*ids, north])
        [coffee] = [one for one in found if one.record.id == north]
        assert coffee.vector == NORTH
        assert coffee.record.payload["kind"] == "drink"

    def test_one_without_a_vector_is_found_by_its_words(self, store: VectorStore) -> None:
        point_id = str(uuid.uuid4())
        store.put({point_id: (None, payload("quicksilver"))})
        [found] = store.wholes()
        assert (found.record.id, found.vector) == (point_id, None)
        assert [record.id for record in found_by_words(store, "quicksilver", user_id="u")] == [
            point_id
        ]
