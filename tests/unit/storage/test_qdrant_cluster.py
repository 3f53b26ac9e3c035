"""The store on several nodes: which one is asked, what is asked of them, and what one that is
lost costs."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.errors import (
    StartupError,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.storage.vectors.filters import in_scope
from app.storage.vectors.server import Address, ServerStore, open_server_store
from app.storage.vectors.server.failover import Failover
from app.storage.vectors.server.nodes import Node, Nodes
from tests.servers.qdrant import QdrantServer
from tests.servers.qdrant_cluster import QdrantCluster
from tests.service import wait_for

EMBEDDER = EmbedderInfo("test/model", 4)
EAST = [1.0, 0.0, 0.0, 0.0]
EVERYTHING = in_scope({}, show_expired=True)
POINTS = "/collections/memories/points"


@pytest.fixture(scope="module")
def running() -> Iterator[QdrantCluster]:
    with QdrantCluster(grpc=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: QdrantCluster) -> Iterator[QdrantCluster]:
    yield running
    running.cut_off.clear()
    for node in running.nodes:
        node.clear_faults()
        node.version, node.ready, node.late = "1.20.0", True, False
        node.start()
    running.wipe()
    for node in running.nodes:
        node.requests.clear()


Opening = Callable[..., ServerStore]


@pytest.fixture(params=["off", "on"], ids=["REST", "gRPC"])
def opening(request: pytest.FixtureRequest, cluster: QdrantCluster) -> Iterator[Opening]:
    """Opens stores on the cluster, as the settings do."""
    stores = []

    def opened(**settings: str) -> ServerStore:
        grpc_port = str(cluster.nodes[0].grpc_port)
        transport = {"QDRANT_GRPC": request.param, "QDRANT_GRPC_PORT": grpc_port}
        given = {"QDRANT_URL": cluster.urls, **transport, **settings}
        stores.append(open_server_store(Settings.from_env(given)))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(opening: Opening) -> ServerStore:
    opened = opening()
    opened.prepare(EMBEDDER)
    return opened


def put(store: ServerStore, text: str = "tea", point_id: str | None = None) -> str:
    point_id = point_id or str(uuid.uuid4())
    payload = {"data": text, "user_id": "u", "created_at": "2026-01-01T00:00:00+00:00"}
    store.put({point_id: (EAST, payload)})
    return point_id


def asked(cluster: QdrantCluster, store: ServerStore) -> Any:
    """The node that `store` asks."""
    for node in cluster.nodes:
        node.requests.clear()
    store.count(EVERYTHING)
    [found] = [node for node in cluster.nodes if node.requests]
    return found


def writes(cluster: QdrantCluster) -> list[Any]:
    return [
        request
        for node in cluster.nodes
        for request in node.requests
        if request.path.startswith(POINTS) and "wait" in request.query
    ]


class TestCollection:
    def test_is_made_with_shards_replicas_and_a_majority_that_takes_each_write(
        self, cluster: QdrantCluster, opening: Opening
    ) -> None:
        opening(QDRANT_SHARDS="6").prepare(EMBEDDER)
        with httpx.Client() as client:
            made = client.get(f"{cluster.nodes[0].url}/collections/memories").json()
        params = made["result"]["config"]["params"]
        assert params["shard_number"] == 6
        assert params["replication_factor"] == 3
        assert params["write_consistency_factor"] == 2

    def test_has_the_replicas_that_are_asked_for_behind_one_address_too(
        self, cluster: QdrantCluster, opening: Opening
    ) -> None:
        store = opening(QDRANT_URL=cluster.nodes[0].url, QDRANT_REPLICAS="2")
        store.prepare(EMBEDDER)
        put(store)
        assert {request.query.get("ordering") for request in writes(cluster)} == {"medium"}

    def test_on_one_node_is_left_to_the_server(self, opening: Opening) -> None:
        with QdrantServer(grpc=True) as single:
            port = str(single.grpc_port)
            store = opening(QDRANT_URL=single.url, QDRANT_GRPC_PORT=port)
            store.prepare(EMBEDDER)
            put(store)
            bodies = [request.body for request in single.requests if request.method == "PUT"]
            assert "replication_factor" not in bodies[0]
            assert not any("ordering" in request.query for request in single.requests)

    def test_by_which_a_cut_off_node_takes_writes_alone_is_told(
        self, cluster: QdrantCluster, store: ServerStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        weak = {"params": {"write_consistency_factor": 1}}
        httpx.patch(f"{cluster.nodes[0].url}/collections/memories", json=weak)
        with caplog.at_level(logging.WARNING):
            put(store)
        assert "set its write_consistency_factor to 2" in caplog.text

    def test_of_a_server_before_1_19_is_refused_and_told(
        self, cluster: QdrantCluster, opening: Opening, caplog: pytest.LogCaptureFixture
    ) -> None:
        for node in cluster.nodes:
            node.version = "1.18.2"
        store = opening()
        with pytest.raises(VectorStoreRefused, match=r"1\.19 or later, and the server is 1\.18"):
            store.prepare(EMBEDDER)
        assert "This needs Qdrant 1.19" in caplog.text
        assert not cluster.nodes[0].client.get_collections().collections


def test_each_write_waits_and_goes_through_one_leader(
    cluster: QdrantCluster, store: ServerStore
) -> None:
    point_id = put(store)
    store.overwrite_payload(point_id, {"data": "tea"})
    store.delete_many([point_id])
    store.clear()
    sent = writes(cluster)
    assert len(sent) == 4
    assert {(one.query["wait"], one.query.get("ordering")) for one in sent} == {("true", "medium")}


def test_writes_of_one_memory_through_two_nodes_leave_all_replicas_alike(
    cluster: QdrantCluster, opening: Opening
) -> None:
    stores = [opening(QDRANT_URL=node.url, QDRANT_REPLICAS="3") for node in cluster.nodes[:2]]
    for store in stores:
        store.prepare(EMBEDDER)
    point_id = put(stores[0])
    cluster.crossing = 2  # as they would, if they were weak
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: put(one[1], f"text {one[0]}", point_id), enumerate(stores)))
    cluster.crossing = 0
    first, *others = cluster.contents()
    assert first in ({point_id: payload} for payload in first.values())
    assert others == [first, first]


def test_weak_writes_through_two_nodes_do_not(cluster: QdrantCluster) -> None:
    """Which shows that the test before this one can fail."""
    first, second, _ = cluster.nodes
    vectors = {"vectors": {"size": 4, "distance": "Cosine"}}
    httpx.put(f"{first.url}/collections/memories", json=vectors).raise_for_status()
    cluster.crossing = 2

    def upsert(node: QdrantServer) -> None:
        point = {"id": 1, "vector": EAST, "payload": {"through": node.host}}
        query = {"wait": "true"}
        httpx.put(f"{node.url}{POINTS}", params=query, json={"points": [point]}).raise_for_status()

    with ThreadPoolExecutor() as pool:
        list(pool.map(upsert, (first, second)))
    held = cluster.contents()
    assert held[0]["1"] == {"through": second.host}
    assert held[1]["1"] == {"through": first.host}


class TestLostNode:
    def test_is_passed_over(self, cluster: QdrantCluster, store: ServerStore) -> None:
        point_id = put(store)
        lost = asked(cluster, store)
        lost.stop()
        assert store.get(point_id) is not None
        assert lost.url in str(store.check())
        another = put(store)
        store.delete_many([point_id])
        assert [record.id for record in store.page(EVERYTHING, 10)[0]] == [another]

    def test_is_passed_over_where_it_is_the_leader(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        put(store)
        cluster.cut_off.add(cluster.nodes[-1])  # of the highest number, and so the leader
        point_id = put(store)
        assert all(point_id in held for held in cluster.contents()[:2])

    def test_has_all_when_it_is_back(self, cluster: QdrantCluster, store: ServerStore) -> None:
        cluster.nodes[1].stop()
        point_id = put(store)
        cluster.nodes[1].start()
        assert all(point_id in held for held in cluster.contents())

    def test_that_is_one_too_many_is_told_and_leaves_reads(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        point_id = put(store)
        for node in cluster.nodes[1:]:
            node.stop()
        with pytest.raises(VectorStoreUnavailable, match="Too few replicas") as failed:
            put(store)
        assert not isinstance(failed.value, VectorStoreRefused)  # one replica has it
        assert store.get(point_id) is not None

    def test_that_was_the_last_is_told_with_all_addresses(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        put(store)
        for node in cluster.nodes:
            node.stop()
        with pytest.raises(VectorStoreRefused) as refused:
            put(store)
        assert all(f"127.0.0.{number}:" in refused.value.detail for number in (1, 2, 3))

    def test_that_answers_nothing_costs_one_call_its_time(
        self, cluster: QdrantCluster, opening: Opening
    ) -> None:
        store = opening(QDRANT_TIMEOUT="1")
        store.prepare(EMBEDDER)
        point_id = put(store)
        silent = asked(cluster, store)
        silent.fault(hang=True)
        with pytest.raises(VectorStoreTimeout):
            store.get(point_id)
        assert store.get(point_id) is not None
        put(store)
        silent.clear_faults()

    def test_in_the_middle_of_a_read_is_passed_over(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        point_id = put(store)
        asked(cluster, store).fault(POINTS, drop=True)
        assert store.get(point_id) is not None

    def test_in_the_middle_of_a_write_is_told(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        put(store)
        asked(cluster, store).fault(POINTS, drop=True, apply_first=True)
        with pytest.raises(VectorStoreUnavailable) as failed:
            put(store)
        assert not isinstance(failed.value, VectorStoreRefused)
        assert len(writes(cluster)) == 1  # nobody else was sent it
        put(store)

    def test_that_fails_what_it_is_asked_is_passed_over(
        self, cluster: QdrantCluster, store: ServerStore
    ) -> None:
        point_id = put(store)
        asked(cluster, store).fault(POINTS, status=500)
        assert store.get(point_id) is not None


def test_a_write_that_is_late_is_no_success_and_takes_place(
    cluster: QdrantCluster, store: ServerStore
) -> None:
    put(store)
    late = asked(cluster, store)
    late.late = True
    with pytest.raises(VectorStoreTimeout, match="in time"):
        put(store, "late")
    assert store.count(EVERYTHING) == 1
    late.catch_up()
    assert store.count(EVERYTHING) == 2


class TestTurn:
    def nodes(self, again_s: float, is_ready: Callable[[int], bool]) -> Nodes:
        found = [Node(Address(f"http://q{n}"), cast(Any, None)) for n in range(3)]
        return Nodes(found, is_ready, first=1, again_s=again_s)

    def test_begins_with_the_first_and_ends_with_those_that_failed(self) -> None:
        nodes = self.nodes(60, lambda _: True)
        assert nodes.in_turn() == [1, 2, 0]
        nodes.failed(1)
        assert nodes.in_turn() == [2, 0, 1]
        nodes.answered(1)
        assert nodes.in_turn() == [1, 2, 0]

    def test_takes_one_back_when_it_says_that_it_is_ready(self) -> None:
        ready = threading.Event()
        asked = []
        nodes = self.nodes(0.01, lambda number: asked.append(number) or ready.is_set())
        nodes.failed(1)
        wait_for(lambda: nodes.in_turn() == [2, 0, 1] and len(asked) > 1)
        ready.set()
        wait_for(lambda: nodes.in_turn() == [1, 2, 0])

    def test_waits_for_nobody_who_is_asked_whether_he_is_ready(self) -> None:
        asked = []
        ready = threading.Event()

        def is_ready(number: int) -> bool:
            asked.append(number)
            return ready.wait(30)

        nodes = self.nodes(0, is_ready)
        nodes.failed(2)
        assert nodes.in_turn() == [1, 0, 2]
        wait_for(lambda: asked == [2] or asked)
        ready.set()
        wait_for(lambda: nodes.in_turn() == [1, 2, 0])


class Refusing(httpx.BaseTransport):
    """Takes no connection; keeps what would have been asked, and of whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((str(request.url), request.headers["Host"]))
        raise httpx.ConnectError("refused", request=request)


def test_each_node_is_asked_by_its_own_scheme_port_and_path() -> None:
    urls = ["http://a:1/q/", "https://b/other", "http://[::1]:7"]
    nodes = Nodes([Node(Address(url), cast(Any, None)) for url in urls])
    refusing = Refusing()
    failover = Failover(nodes, [refusing] * 3)
    extensions = {"timeout": {}, "until": time.monotonic() + 30}
    request = httpx.Request(
        "PUT", "http://a:1/q/collections/x/points?wait=true", extensions=extensions
    )
    with pytest.raises(httpx.ConnectError):
        failover.handle_request(request)
    path = "collections/x/points?wait=true"
    assert refusing.asked == [
        (f"http://a:1/q/{path}", "a:1"),
        (f"https://b:6333/other/{path}", "b:6333"),
        (f"http://[::1]:7/{path}", "[::1]:7"),
    ]


def test_a_node_that_starts_is_asked_when_it_is_ready(
    cluster: QdrantCluster, opening: Opening
) -> None:
    """Over the wire: the order is `Nodes`'s, which is tested above."""
    store = opening()
    store.prepare(EMBEDDER)
    nodes = store._collection.connection.nodes
    lost = cluster.nodes[nodes.in_turn()[0]]
    lost.ready = False
    assert not nodes._is_ready(lost.number)
    lost.ready = True
    assert nodes._is_ready(lost.number)
    lost.stop()
    assert not nodes._is_ready(lost.number)


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ("http://a:6333,http://b:6333", ("http://a:6333", "http://b:6333")),
        ("http://a, http://b http://a", ("http://a", "http://b")),
    ],
)
def test_addresses_are_separated_by_commas(given: str, addresses: tuple[str, ...]) -> None:
    settings = Settings.from_env({"QDRANT_URL": given})
    assert settings.qdrant_addresses == addresses
    assert (settings.on_cluster, settings.qdrant_copies) == (True, 3)


@pytest.mark.parametrize(
    ("given", "copies"),
    [
        ({}, 1),
        ({"DATABASE_URL": "postgresql://u:p@db/m"}, 3),
        ({"DATABASE_URL": "postgresql://u:p@db/m", "QDRANT_REPLICAS": "1"}, 1),
        ({"QDRANT_REPLICAS": "2"}, 2),
    ],
)
def test_behind_one_address_there_is_a_cluster_where_a_fleet_is_or_is_said(
    given: dict[str, str], copies: int
) -> None:
    settings = Settings.from_env({"QDRANT_URL": "http://q", **given})
    assert (settings.qdrant_copies, settings.on_cluster) == (copies, copies > 1)


def test_each_address_has_to_be_one() -> None:
    with pytest.raises(StartupError, match="QDRANT_URL: must begin with http"):
        Settings.from_env({"QDRANT_URL": "http://a:6333,b:6333"})
