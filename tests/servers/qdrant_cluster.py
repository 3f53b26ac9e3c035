"""A stand-in for a Qdrant cluster: nodes that each hold all of every collection.

How writes reach the replicas, and when they differ, is as a cluster of 1.19 does it. Nothing else
of a cluster is here: no shards, no reads from several replicas, no elections.
"""

import threading
from collections.abc import Callable
from typing import Any, Self

from tests.servers.base import Answer, Json, Request
from tests.servers.qdrant import Call, QdrantServer, Store
from tests.servers.strict_mode import QdrantError

Operation = tuple[str, Call]

LEADER_GONE = (
    "Service internal error: Failed to apply update with {} ordering via leader peer {}: "
    "Service internal error: Failed to connect to peer {}"
)
TOO_FEW = (
    "Service internal error: Failed to apply operation to at least one `Active` replica. "
    "Consistency of this update is not guaranteed. Please retry."
)
NO_LEADER = "Service internal error: Failed to propose operation: leader is not established"
MEET_S = 10.0  # in which writes that shall cross have to


class QdrantCluster:
    """`nodes` can be stopped, started and given faults like any stand-in. One that was away has
    what it missed as soon as it is back, unless it was never noticed that it lacks something."""

    def __init__(self, count: int = 3, **options: Any) -> None:
        """`options` are those of a QdrantServer."""
        self.lock = threading.RLock()
        self.nodes = [Node(self, number, **options) for number in range(count)]
        self.cut_off: set[Node] = set()
        """Clients reach them, and no other node does."""
        self.crossing = 0
        """So many weak writes are each carried out where they were sent, and only then sent on."""
        self._met = threading.Condition(self.lock)

    @property
    def urls(self) -> str:
        """As QDRANT_URL takes them."""
        return ",".join(node.url for node in self.nodes)

    def wipe(self) -> None:
        for node in self.nodes:
            node.wipe()

    def contents(self, name: str = "memories") -> list[dict[str, Json]]:
        """The payloads of each node, by the ids of the points."""
        with self.lock:
            return [
                {str(one.id): one.payload for one in node.client.scroll(name, limit=100_000)[0]}
                for node in self.nodes
            ]

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.grpc_port = self.nodes[0].grpc_port  # the same port, at another address
            node.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()

    # ------------------------------------------------------------------ writing

    def change(self, asked: "Node", operation: Operation) -> Json:
        """Of a collection, which most nodes have to agree on."""
        there = [node for node in self.nodes if self._reaches(asked, node)]
        if len(there) <= len(self.nodes) // 2:
            raise QdrantError(500, NO_LEADER)
        self._leave_out({*self.nodes} - {*there}, operation)
        return [node.carry_out(operation) for node in there][there.index(asked)]

    def write(self, asked: "Node", operation: Operation) -> Json:
        """Of points."""
        ordering = operation[1].request.query.get("ordering", "weak")
        active = [node for node in self.nodes if not node.dead]
        if ordering == "weak":
            return self._through(asked, active, operation, crossing=self.crossing > 0)
        leader = max(node for node in active if node not in asked.disabled)
        if not self._reaches(asked, leader):
            asked.disabled.add(leader)
            peer = leader.number
            raise QdrantError(500, LEADER_GONE.format(ordering.capitalize(), peer, peer))
        return self._through(leader, active, operation)

    def _through(
        self, sender: "Node", active: list["Node"], operation: Operation, *, crossing: bool = False
    ) -> Json:
        results = {}
        if crossing:
            results[sender] = sender.carry_out(operation)
            self._meet()
        for node in active:
            if node not in results and self._reaches(sender, node):
                results[node] = node.carry_out(operation)
        lacking = {*active} - {*results}
        if lacking and len(results) < min(sender.agreeing(operation), len(self.nodes)):
            raise QdrantError(500, TOO_FEW)
        self._leave_out(lacking | {node for node in self.nodes if node.dead}, operation)
        return results[sender]

    def _meet(self) -> None:
        self.crossing -= 1
        self._met.notify_all()
        self._met.wait_for(lambda: not self.crossing, MEET_S)

    def _leave_out(self, nodes: set["Node"], operation: Operation) -> None:
        for node in nodes:
            node.dead = True
            node.missed.append(operation)

    def _reaches(self, one: "Node", other: "Node") -> bool:
        return one is other or (other.running and not {one, other} & self.cut_off)


class Node(QdrantServer):
    """One of a cluster, at an address of its own: 127.0.0.1, 127.0.0.2 and so on."""

    def __init__(self, cluster: QdrantCluster, number: int, **options: Any) -> None:
        super().__init__(host=f"127.0.0.{number + 1}", **options)
        self.number = number
        self.lock = cluster.lock
        self.dead = False
        """Known to lack something, and so neither read nor written."""
        self.missed: list[Operation] = []
        self.disabled: set[Node] = set()
        self.ready = True
        self._cluster = cluster
        self._changes = {
            *(self._create, self._patch, self._drop, self._create_index, self._drop_index),
            self._change_aliases,
        }

    def __lt__(self, other: "Node") -> bool:
        return self.number < other.number

    def __hash__(self) -> int:
        return self.number

    def start(self) -> Self:
        with self.lock:
            missed, self.missed = self.missed, []
            for operation in missed:
                self.carry_out(operation)
            self.dead = False
            for node in self._cluster.nodes:
                node.disabled.discard(self)
        return super().start()

    def wipe(self) -> None:
        with self.lock:
            self._store = Store()
            self.missed, self.dead, self.disabled = [], False, set()

    def agreeing(self, operation: Operation) -> int:
        made = self._store.made.get(self._resolved(operation[1].name), {})
        return int(made.get("write_consistency_factor") or 1)

    def carry_out(self, operation: Operation) -> Json:
        name, call = operation
        return super()._carry_out(getattr(self, name), call)

    def _carry_out(self, handler: Callable[[Call], Json], call: Call) -> Json:
        operation = (handler.__name__, call)
        if handler in self._changes:
            return self._cluster.change(self, operation)
        if handler in self._writes:
            return self._cluster.write(self, operation)
        return super()._carry_out(handler, call)

    def _bare(self, request: Request) -> Answer | None:
        if request.path == "/readyz" and not self.ready:
            return Answer.of("some shards are not ready", 503)
        return super()._bare(request)
