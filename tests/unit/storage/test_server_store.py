"""What the store on a Qdrant server finds there, and how it asks; the service is not needed."""

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from qdrant_client import models
from qdrant_client.conversions.conversion import RestToGrpc

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.errors import InvalidRequest, VectorStoreRefused, VectorStoreUnavailable
from app.observability.trace import Trace, trace
from app.storage.vectors.filters import compile_filters, in_scope
from app.storage.vectors.paging import Cursor, following
from app.storage.vectors.server import Address, Options, ServerStore, open_server_store
from app.storage.vectors.server.grpc_filters import as_message
from app.storage.vectors.server.refusals import Refusal, error_of
from tests.servers.base import Request
from tests.servers.qdrant import QdrantServer

EMBEDDER = EmbedderInfo("test/model", 4)
EAST = [1.0, 0.0, 0.0, 0.0]
EVERYTHING = in_scope({}, show_expired=True)
COSINE = {"size": 4, "distance": "Cosine"}
TIME = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def running() -> Iterator[QdrantServer]:
    with QdrantServer(grpc=True) as server:
        yield server


@pytest.fixture
def qdrant(running: QdrantServer) -> Iterator[QdrantServer]:
    running.wipe()
    running.requests.clear()
    yield running
    running.clear_faults()
    running.version = "1.20.0"


Opening = Callable[..., ServerStore]


@pytest.fixture
def opening() -> Iterator[Opening]:
    """Opens stores as the settings do."""
    stores = []

    def opened(url: str, **settings: str) -> ServerStore:
        given = {"QDRANT_URL": url, **settings}
        stores.append(open_server_store(Settings.from_env(given)))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(qdrant: QdrantServer, opening: Opening) -> ServerStore:
    return opening(qdrant.url)


def put(store: ServerStore, text: str = "tea", **keys: Any) -> str:
    point_id = str(uuid.uuid4())
    payload = {"data": text, "user_id": "u", "created_at": TIME, **keys}
    store.put({point_id: (EAST, payload)})
    return point_id


def make(qdrant: QdrantServer, body: dict[str, Any]) -> None:
    """The collection, as somebody else makes it."""
    httpx.put(f"{qdrant.url}/collections/memories", json=body).raise_for_status()


def created(qdrant: QdrantServer) -> dict[str, Any]:
    body: dict[str, Any] = next(
        r.body for r in qdrant.requests if (r.method, r.path) == ("PUT", "/collections/memories")
    )
    return body


def indexes(qdrant: QdrantServer) -> dict[str, Any]:
    asked = [request.body for request in qdrant.requests if request.path.endswith("/index")]
    return {body["field_name"]: body["field_schema"] for body in asked}


def over_grpc(request: Request) -> bool:
    return request.headers.get("transport") == "grpc"


class TestCollectionForManyUsers:
    def test_links_the_memories_of_each_user_and_no_others(
        self, qdrant: QdrantServer, store: ServerStore
    ) -> None:
        store.prepare(EMBEDDER)
        put(store)
        assert created(qdrant)["hnsw_config"] == {"m": 0, "payload_m": 16}
        made = indexes(qdrant)
        assert made["user_id"] == {"type": "keyword", "is_tenant": True}
        assert made["run_id"] == made["agent_id"] == {"type": "keyword"}
        assert made["hash"] == {"type": "keyword", "enable_hnsw": False}
        assert made["created_at"] == {"type": "datetime", "enable_hnsw": False}
        assert made["expiration_date"] == {"type": "datetime", "enable_hnsw": False}

    def test_has_all_indexes_before_the_first_point(
        self, qdrant: QdrantServer, store: ServerStore
    ) -> None:
        store.prepare(EMBEDDER)
        put(store)
        paths = [request.path for request in qdrant.requests if request.method == "PUT"]
        assert paths.index("/collections/memories/points") > max(
            number for number, path in enumerate(paths) if path.endswith("/index")
        )

    def test_links_all_where_everybody_is_searched(
        self, qdrant: QdrantServer, opening: Opening
    ) -> None:
        opening(qdrant.url, QDRANT_SEARCH_EVERYBODY="true").prepare(EMBEDDER)
        assert created(qdrant)["hnsw_config"] == {"m": 16, "payload_m": 16}

    def test_has_indexes_on_the_metadata_that_is_named(
        self, qdrant: QdrantServer, opening: Opening
    ) -> None:
        store = opening(qdrant.url, METADATA_INDEXES="kind, address.city,year:integer")
        store.prepare(EMBEDDER)
        put(store, kind="a")
        made = indexes(qdrant)
        assert (made["kind"], made["address.city"]) == ("keyword", "keyword")
        assert made["year"] == "integer"

    def test_an_older_one_stays_as_it_is_but_for_indexes_that_it_lacks(
        self, qdrant: QdrantServer, store: ServerStore
    ) -> None:
        make(qdrant, {"vectors": COSINE})
        index = {"field_name": "user_id", "field_schema": "keyword"}
        httpx.put(f"{qdrant.url}/collections/memories/index", json=index)
        qdrant.requests.clear()
        store.prepare(EMBEDDER)
        put(store)
        assert "user_id" not in indexes(qdrant)
        assert "run_id" in indexes(qdrant)
        patched = [request.body for request in qdrant.requests if request.method == "PATCH"]
        assert [[*body] for body in patched] == [["metadata"]]


FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "named vectors": ({"vectors": {"fast-bge": COSINE}}, "named (fast-bge)"),
    "words alone": ({"vectors": {}, "sparse_vectors": {"bm25": {}}}, "no vectors of meaning"),
    "another distance": ({"vectors": {"size": 4, "distance": "Euclid"}}, "Euclid"),
    "several vectors each": (
        {"vectors": {**COSINE, "multivector_config": {"comparator": "max_sim"}}},
        "several vectors",
    ),
    "whole numbers": ({"vectors": {**COSINE, "datatype": "uint8"}}, "uint8"),
}


@pytest.mark.parametrize("kind", FOREIGN)
class TestSomebodyElsesCollection:
    def test_is_refused_by_every_call_and_left_alone(
        self, qdrant: QdrantServer, store: ServerStore, kind: str
    ) -> None:
        body, words = FOREIGN[kind]
        make(qdrant, body)
        qdrant.requests.clear()
        calls: list[Callable[[], Any]] = [
            lambda: store.prepare(EMBEDDER),
            store.check,
            lambda: store.page(EVERYTHING, 10),
            lambda: store.get(str(uuid.uuid4())),
            lambda: store.delete_many([str(uuid.uuid4())]),
        ]
        for call in calls:
            with pytest.raises(VectorStoreRefused) as refused:
                call()
            assert words in refused.value.detail
            assert "QDRANT_COLLECTION" in refused.value.detail
        assert {request.method for request in qdrant.requests} == {"GET"}


def test_a_collection_that_cannot_be_made_again_is_told(
    qdrant: QdrantServer, store: ServerStore
) -> None:
    store.prepare(EMBEDDER)
    gone = {"status": {"error": "Not found: Collection `memories` doesn't exist!"}}
    qdrant.fault("/collections/memories", status=404, body=gone)
    with pytest.raises(VectorStoreUnavailable, match="QDRANT_COLLECTION another name"):
        put(store)


PAGES: dict[str, dict[str, Any]] = {
    "LangChain's": {"id": 1, "payload": {"page_content": "a page"}},
    "without a payload": {"id": str(uuid.uuid4())},
    "with data that is no text": {"id": str(uuid.uuid4()), "payload": {"data": {"a": 1}}},
    "with null for data": {"id": str(uuid.uuid4()), "payload": {"data": None}},
    "with a number for an id": {"id": 1, "payload": {"data": "a page"}},
}


@pytest.mark.parametrize("whose", PAGES)
def test_somebody_elses_points_are_refused(
    qdrant: QdrantServer, store: ServerStore, whose: str
) -> None:
    make(qdrant, {"vectors": COSINE})
    page = {"vector": EAST, **PAGES[whose]}
    httpx.put(f"{qdrant.url}/collections/memories/points", json={"points": [page]})
    qdrant.requests.clear()
    with pytest.raises(VectorStoreRefused) as refused:
        store.prepare(EMBEDDER)
    assert "QDRANT_COLLECTION" in refused.value.detail
    assert {request.method for request in qdrant.requests} <= {"GET", "POST"}


PAGE = b"<html>Please log in</html>"
NO_QDRANT: dict[str, dict[str, Any]] = {
    "a login page": {"raw": PAGE},
    "another JSON": {"raw": b'{"a": 1}'},
    "a proxy that fails": {"status": 503, "body": PAGE},
    "a redirect": {"status": 302, "body": "", "headers": {"Location": "/login"}},
    "another server": {"status": 404, "body": PAGE},
    "a key of its own": {"status": 401, "body": PAGE},
    "a challenge": {"status": 403, "body": b"<html>Just a moment...</html>"},
    "a proxy with a limit": {"status": 413, "body": b"<html>413 Request Entity Too Large</html>"},
    "a proxy that is limited": {"status": 429, "body": PAGE},
    "another method": {"status": 405, "body": b'{"detail": "Method Not Allowed"}'},
    "JSON that is no object": {"raw": b"[]"},
    "a text": {"raw": b"ok"},
    "nothing": {"raw": b""},
    "a result of another form": {"raw": b'{"result": [], "status": "ok", "time": 0}'},
    "a gateway": {"status": 502, "body": b"error code: 502"},
    "an error of Cloudflare": {"status": 530, "body": b"error code: 1033"},
    "an error of another form": {"status": 400, "body": b'{"error": "bad request"}'},
}


@pytest.mark.parametrize("what", NO_QDRANT)
def test_what_is_no_qdrant_is_told_with_its_address(
    qdrant: QdrantServer, store: ServerStore, what: str
) -> None:
    qdrant.fault(**NO_QDRANT[what])
    calls: list[Callable[[], Any]] = [
        lambda: store.prepare(EMBEDDER),
        store.check,
        lambda: store.count(EVERYTHING),
    ]
    for call in calls:
        with pytest.raises(VectorStoreUnavailable) as refused:
            call()
        assert f"What answers at {qdrant.url} is no Qdrant" in refused.value.detail
        assert "QDRANT_URL" in refused.value.detail


def test_a_wrong_path_is_told_and_not_taken_for_an_empty_store(
    qdrant: QdrantServer, opening: Opening
) -> None:
    store = opening(f"{qdrant.url}/qdrant/")
    with pytest.raises(VectorStoreUnavailable, match=r"/qdrant is no Qdrant \(404\)"):
        store.page(EVERYTHING, 10)


@pytest.mark.parametrize(
    ("url", "shown", "hint"),
    [
        ("https://qdrant.example", "https://qdrant.example:6333", ":443"),
        ("http://qdrant.example/q", "http://qdrant.example:6333/q", ":80"),
        ("http://user:secret@qdrant:7000/?api_key=secret", "http://qdrant:7000", ""),
        ("http://[::1]:6333", "http://[::1]:6333", ""),
    ],
)
def test_an_address_is_shown_as_it_is_asked(url: str, shown: str, hint: str) -> None:
    address = Address(url)
    assert str(address) == shown
    assert hint in address.hint()
    assert bool(hint) == bool(address.hint())


class TestOldServers:
    def test_are_told_what_they_lack_when_they_are_first_asked(
        self, qdrant: QdrantServer, store: ServerStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        qdrant.version = "1.18.2"
        with caplog.at_level(logging.WARNING):
            store.prepare(EMBEDDER)
            store.count(EVERYTHING)
        told = [text for text in caplog.messages if "version 1.18.2" in text]
        assert len(told) == 1
        assert "before 1.19" in told[0]
        assert "before 1.20" in told[0]

    @pytest.mark.parametrize(("version", "is_told"), [("1.15.5", False), ("1.16.0", True)])
    def test_are_asked_for_the_version_of_the_words_where_they_can_keep_it(
        self, qdrant: QdrantServer, store: ServerStore, version: str, *, is_told: bool
    ) -> None:
        qdrant.version = version
        make(qdrant, {"vectors": COSINE, "sparse_vectors": {"bm25": {"modifier": "idf"}}})
        assert store.has_old_words() == is_told
        assert ("of another version" in str(store.check())) == is_told

    @pytest.mark.parametrize("operator", ["contains", "icontains"])
    @pytest.mark.parametrize("grpc", ["on", "off"])
    def test_are_not_asked_for_filters_that_they_do_not_know(
        self, qdrant: QdrantServer, opening: Opening, operator: str, grpc: str
    ) -> None:
        qdrant.version = "1.19.0"
        store = opening(qdrant.url, QDRANT_GRPC=grpc, QDRANT_GRPC_PORT=str(qdrant.grpc_port))
        store.prepare(EMBEDDER)
        put(store, kind="a note")
        where = in_scope({"user_id": "u"}, extra=compile_filters({"kind": {operator: "note"}}))
        for call in (
            lambda: store.page(where, 10),
            lambda: store.count(where),
            lambda: store.hybrid("tea", EAST, where, 10),
        ):
            with pytest.raises(InvalidRequest, match=r"1\.20; the server is 1\.19"):
                call()
        assert store.count(in_scope({"user_id": "u"})) == 1


ONE = "6c1f0f4e-1a51-4c53-9d0b-6a7a4be6a001"
ANOTHER = "6c1f0f4e-1a51-4c53-9d0b-6a7a4be6a002"

FILTERS: list[Any] = [
    {},
    in_scope({"user_id": "u", "run_id": "r"}),
    in_scope({}, show_expired=True, extra=compile_filters({"a": 5, "b": True, "c": 1.5, "d": "*"})),
    in_scope({"user_id": "u"}, extra=compile_filters({"a": None, "b": {"ne": "x"}})),
    compile_filters({"a": ["x", "y", 3], "b": {"nin": ["x", 2**60, None]}, "c": {"in": ["x"]}}),
    compile_filters({"OR": [{"a": {"gt": 3}}, {"NOT": [{"b.c": {"lte": "2024-05-01"}}]}]}),
    compile_filters({"a": {"contains": "x", "icontains": "y"}, "two words": -(2**63)}),
    compile_filters({"a": {"lt": "0001-01-01", "gte": "1969-12-31T23:59:59.999999-05:30"}}),
    following(
        in_scope({"user_id": "u"}),
        Cursor(datetime(2024, 5, 1, 12, 0, 0, 123456, UTC), (ONE, ANOTHER)),
    ),
]


@pytest.mark.parametrize("where", FILTERS)
def test_filters_become_the_messages_that_the_client_makes_of_them(where: Any) -> None:
    by_the_client = RestToGrpc.convert_filter(models.Filter.model_validate(where))
    assert as_message(where) == by_the_client


class TestTransport:
    def points(self, qdrant: QdrantServer) -> set[bool]:
        return {over_grpc(r) for r in qdrant.requests if "/points" in r.path}

    @pytest.mark.parametrize(("grpc", "used"), [("auto", True), ("on", True), ("off", False)])
    def test_is_the_one_that_the_settings_say(
        self, qdrant: QdrantServer, opening: Opening, grpc: str, used: bool
    ) -> None:
        store = opening(qdrant.url, QDRANT_GRPC=grpc, QDRANT_GRPC_PORT=str(qdrant.grpc_port))
        store.prepare(EMBEDDER)
        assert store.get(put(store)) is not None
        assert self.points(qdrant) == {used}

    def test_is_rest_where_nothing_answers_at_the_port_of_grpc(
        self, qdrant: QdrantServer, opening: Opening, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = opening(qdrant.url, QDRANT_GRPC_PORT="1")
        with caplog.at_level(logging.INFO):
            store.prepare(EMBEDDER)
            assert store.get(put(store)) is not None
        assert "over REST" in caplog.text

    def test_is_rest_where_the_ports_are_not_qdrants_own(
        self, qdrant: QdrantServer, store: ServerStore
    ) -> None:
        assert Options.of(Settings.from_env({"QDRANT_URL": qdrant.url})).grpc == "off"
        assert Options.of(Settings.from_env({"QDRANT_URL": "http://q:6333"})).grpc == "auto"

    def test_on_tells_the_port_that_does_not_answer(
        self, qdrant: QdrantServer, opening: Opening
    ) -> None:
        store = opening(qdrant.url, QDRANT_GRPC="on", QDRANT_GRPC_PORT="1")
        store.prepare(EMBEDDER)
        with pytest.raises(VectorStoreRefused, match=r":1\. QDRANT_GRPC_PORT"):
            put(store)

    @pytest.mark.parametrize("grpc", ["on", "off"])
    def test_never_asks_for_more_than_1000_rows_and_no_payload_that_is_not_wanted(
        self, qdrant: QdrantServer, opening: Opening, grpc: str
    ) -> None:
        store = opening(qdrant.url, QDRANT_GRPC=grpc, QDRANT_GRPC_PORT=str(qdrant.grpc_port))
        store.prepare(EMBEDDER)
        for number in range(3):
            put(store, f"tea {number}")
        qdrant.requests.clear()
        similar, worded, _ = store.hybrid("tea", EAST, EVERYTHING, 4000, ids_only=True)
        assert len(similar) == len(worded) == 3
        assert not any(record.payload for record in (*similar, *worded))
        assert [record and record.payload["user_id"] for record in store.hydrate(similar)] == [
            "u"
        ] * 3
        [*store.scan(EVERYTHING)]
        bodies = [request.body for request in qdrant.requests]
        asked = [one for body in bodies for one in body.get("searches", [body])]
        assert max(one["limit"] for one in asked if "limit" in one) == 1000

    def test_passes_the_trace_on_over_grpc(self, qdrant: QdrantServer, opening: Opening) -> None:
        store = opening(qdrant.url, QDRANT_GRPC="on", QDRANT_GRPC_PORT=str(qdrant.grpc_port))
        store.prepare(EMBEDDER)
        point_id = put(store)
        before = trace.set(Trace("a" * 32, 1, "x=y"))
        try:
            store.get(point_id)
        finally:
            trace.reset(before)
        headers = qdrant.requests[-1].headers
        assert headers["traceparent"].startswith(f"00-{'a' * 32}-")
        assert headers["tracestate"] == "x=y"


class TestCertainty:
    @pytest.mark.parametrize("grpc", ["on", "off"])
    def test_a_refused_connection_is_a_refusal(
        self, qdrant: QdrantServer, opening: Opening, grpc: str
    ) -> None:
        with QdrantServer(grpc=True) as other:
            store = opening(other.url, QDRANT_GRPC=grpc, QDRANT_GRPC_PORT=str(other.grpc_port))
            store.prepare(EMBEDDER)
            put(store)
        with pytest.raises(VectorStoreRefused):
            put(store)

    @pytest.mark.parametrize("grpc", ["on", "off"])
    def test_a_connection_that_breaks_off_is_none(
        self, qdrant: QdrantServer, opening: Opening, grpc: str
    ) -> None:
        store = opening(qdrant.url, QDRANT_GRPC=grpc, QDRANT_GRPC_PORT=str(qdrant.grpc_port))
        store.prepare(EMBEDDER)
        put(store)
        qdrant.fault("/collections/memories/points", drop=True, apply_first=True)
        with pytest.raises(VectorStoreUnavailable) as failed:
            put(store)
        assert not isinstance(failed.value, VectorStoreRefused)

    @pytest.mark.parametrize(
        ("said", "replicated", "certain"),
        [
            ("No space left on device", False, True),
            ("No space left on device", True, False),
            ("Write rate limit exceeded: 1", False, True),
            ("Write rate limit exceeded: 1", True, False),
            ("Global manage access is required", True, True),
            ("1 out of 2 shards failed to apply operation. Bad request: x", False, False),
            ("anything else", False, False),
        ],
    )
    def test_hangs_on_who_refused(self, said: str, replicated: bool, certain: bool) -> None:
        error = error_of(Refusal(500, said), replicated=replicated)
        assert isinstance(error, VectorStoreRefused) == certain
        assert isinstance(error, VectorStoreUnavailable)
