"""A service on a store that can be told to fail."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.model.looking import kill
from tests.servers.disk import DiskFaults
from tests.servers.qdrant import QdrantServer
from tests.servers.qdrant_cluster import QdrantCluster
from tests.service import Service, wait_for

POINTS = "/collections/memories/points"
QDRANT_S = 1
LASTING = 1000  # every call until it is mended: what the service does about a failure fails too


class Deployment:
    """The service, its disk, and the stand-ins for Qdrant where it is on one, or on several."""

    flush_s = 1.0

    def __init__(
        self, service: Service, disk: DiskFaults, nodes: Sequence[QdrantServer] = ()
    ) -> None:
        self.service = service
        self.disk = disk
        self.nodes = nodes

    @classmethod
    @contextmanager
    def running(cls, folder: Path, store: str) -> Iterator[Self]:
        """On the `store` "embedded", "server" or "cluster", when all is ready."""
        with ExitStack() as stack:
            disk = DiskFaults(folder, folder / "data")
            settings = {"FLUSH_SECONDS": str(cls.flush_s), **disk.environ}
            nodes: Sequence[QdrantServer] = ()
            if store == "server":
                nodes = [stack.enter_context(QdrantServer())]
            elif store == "cluster":
                nodes = stack.enter_context(QdrantCluster()).nodes
            if nodes:
                urls = ",".join(node.url for node in nodes)
                settings |= {"QDRANT_URL": urls, "QDRANT_TIMEOUT": str(QDRANT_S)}
            service = stack.enter_context(Service(folder / "data", **settings))
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)
            yield cls(service, disk, nodes)

    def mend(self) -> None:
        self.disk.clear()
        for node in self.nodes:
            node.clear_faults()
            node.start()

    def kill(self) -> None:
        kill(self.service)
        self.mend()

    def start_again(self) -> None:
        self.service.reconnect()
        self.service.start()
