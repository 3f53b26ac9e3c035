"""What stands in deploy/, for real where HAProxy is: the proxy before three processes, a real
PostgreSQL, and a cluster of three nodes that stand in for Qdrant's."""

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import httpx
import pytest

from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant_cluster import QdrantCluster
from tests.service import ADMIN_KEY, NO_TLS, ROOT, Service, free_port, wait_for

HAPROXY = shutil.which("haproxy")
CLIENTS = 6

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy.cfg is tried where HAProxy is")


class Fleet(NamedTuple):
    cluster: QdrantCluster
    postgres: PostgreSQLServer
    database: str
    services: list[Service]
    http: httpx.Client

    def add(self, number: int) -> httpx.Response:
        body = {"data": f"note {number}", "user_id": "u"}
        return self.http.post("/memory/add", json=body)

    def listed(self) -> int:
        listing = self.http.post("/memory/get_all", json={"limit": 1, "user_id": "u"}).json()
        total: int = listing["total"]
        return total


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with QdrantCluster(grpc=True) as cluster, PostgreSQLServer() as postgres:
        database = postgres.database()
        settings = {
            "QDRANT_URL": cluster.urls,
            "QDRANT_GRPC": "on",
            "QDRANT_GRPC_PORT": str(cluster.nodes[0].grpc_port),
            "DATABASE_URL": database,
            "ADMIN_API_KEY": ADMIN_KEY,
            "PROXY_HOPS": "1",
        }
        services = [Service(folder / f"data-{number}", **settings).start() for number in range(3)]
        port = free_port()
        path = folder / "haproxy.cfg"
        path.write_text(configuration(port, services))
        assert HAPROXY
        proxy = subprocess.Popen([HAPROXY, "-f", str(path)], stdout=subprocess.DEVNULL)
        try:
            key = {"X-API-Key": ADMIN_KEY}
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url, headers=key, timeout=60, verify=NO_TLS) as http:
                wait_for(lambda: answers(http), 60)
                yield Fleet(cluster, postgres, database, services, http)
        finally:
            proxy.terminate()
            proxy.wait(30)
            for service in services:
                if service.process.poll() is None:
                    service.stop()


def configuration(port: int, services: list[Service]) -> str:
    """As it is, but for where it listens, and where the processes are."""
    text = (ROOT / "deploy" / "haproxy.cfg").read_text().replace("bind :8000", f"bind :{port}")
    servers = [f"    server mem0-{n} 127.0.0.1:{one.port}" for n, one in enumerate(services)]
    shown = "    http-response set-header X-Served-By %s"
    return re.sub(r"    server-template.*", "\n".join([shown, *servers]), text)


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def outcome(add: "Future[httpx.Response]") -> str:
    """Its status, or how it broke off: the proxy may end the connection, to be asked again."""
    try:
        return str(add.result().status_code)
    except httpx.TransportError as error:
        return type(error).__name__


def test_a_process_and_a_node_may_go_and_nothing_acknowledged_is_lost(fleet: Fleet) -> None:
    """The one test of what is dear to start."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        first = list(pool.map(fleet.add, range(60)))
        assert {one.status_code for one in first} == {201}
        assert len({one.headers["X-Served-By"] for one in first}) == 3

        begun = Event()
        adds = [pool.submit(fleet.add, number) for number in range(120)]
        adds[10].add_done_callback(lambda _: begun.set())
        assert begun.wait(60)
        fleet.services[0].stop(signal.SIGKILL)
        killed = Counter(map(outcome, adds))
        assert killed["201"] >= 120 - CLIENTS  # those that it was answering
        assert {*killed} <= {"201", "502", "503", "RemoteProtocolError"}

        fleet.cluster.nodes[1].stop()
        lost = list(pool.map(fleet.add, range(60)))
        assert {one.status_code for one in lost} == {201}
        fleet.cluster.nodes[1].start()

    acknowledged = 60 + killed["201"] + 60
    wait_for(lambda: not fleet.postgres.sql(fleet.database, "SELECT 1 FROM intents"), 90)
    held = fleet.cluster.contents()
    assert held[1:] == held[:1] * 2
    assert acknowledged <= len(held[0]) <= acknowledged + killed.total() - killed["201"]
    assert fleet.listed() == len(held[0])
    [(histories,)] = fleet.postgres.sql(
        fleet.database, "SELECT count(DISTINCT memory_id) FROM history"
    )
    assert histories == len(held[0])


def test_metrics_are_asked_of_each_process_alone(fleet: Fleet) -> None:
    assert fleet.http.get("/metrics").status_code == 404


def test_too_many_requests_of_one_caller_are_refused_as_the_service_does(fleet: Fleet) -> None:
    for _ in range(1100):
        refused = fleet.http.get("/health")
        if refused.status_code == 429:
            break
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "10"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "too_many_requests"
    assert fleet.http.get("/health", headers={"X-API-Key": "another"}).status_code == 200
