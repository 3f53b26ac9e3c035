"""The nodes of a Qdrant cluster: which one is used, and which are avoided after a failure."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from qdrant_client import QdrantClient

from app.storage.vectors.server.address import Address

log = logging.getLogger(__name__)

AGAIN_S = 5.0
"""Seconds after a failure before a node is checked again."""


class Node(NamedTuple):
    address: Address
    client: QdrantClient
    """A client for this node only."""


class Nodes:
    """One or more nodes, by their numbers. Safe for many threads.

    A failed node comes last until it is ready again. A separate thread checks that, so that no
    request waits for it. Where all have failed, all are tried.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        is_ready: Callable[[int], bool] = lambda _: True,
        first: int = 0,
        again_s: float = AGAIN_S,
    ) -> None:
        """`first`: the number of the node that is used while it works. `is_ready` checks the node
        of a number, and must not take long."""
        self._nodes = nodes
        self._is_ready = is_ready
        self._again_s = again_s
        self._order = [(first + number) % len(nodes) for number in range(len(nodes))]
        self._look_at: dict[int, float] = {}  # when failed nodes are to be checked again
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, number: int) -> Node:
        return self._nodes[number]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def in_turn(self) -> list[int]:
        """The numbers of all nodes, in the order in which they should be tried."""
        if not self._look_at:  # without the lock, because this is nearly always so
            return self._order
        with self._changing:
            failed = [number for number in self._order if number in self._look_at]
            due = [number for number in failed if self._look_at[number] <= time.monotonic()]
            for number in due:  # so that no other thread checks it meanwhile
                self._look_at[number] = time.monotonic() + self._again_s
        for number in due:
            threading.Thread(target=self._look, args=(number,), daemon=True).start()
        return [number for number in self._order if number not in failed] + failed

    def failed(self, number: int) -> None:
        if len(self._nodes) == 1:  # no other node could be used in its place
            return
        with self._changing:
            is_new = number not in self._look_at
            self._look_at[number] = time.monotonic() + self._again_s
        if is_new:
            log.warning("the Qdrant node %s is passed over for now", self._nodes[number].address)

    def answered(self, number: int) -> None:
        if number not in self._look_at:
            return
        with self._changing:
            self._look_at.pop(number, None)
        log.warning("the Qdrant node %s is asked again", self._nodes[number].address)

    def note(self) -> str | None:
        """A note for operators about failed nodes, or None."""
        failed = [str(self._nodes[number].address) for number in sorted(self._look_at)]
        return f"Passed over, since they failed: {', '.join(failed)}." if failed else None

    def _look(self, number: int) -> None:
        if self._is_ready(number):
            self.answered(number)

    def address(self, grpc_port: int | None = None) -> "Addresses":
        """The addresses of the nodes, as messages show them; `grpc_port`: see Address."""
        found = [node.address for node in self._nodes]
        return Addresses([replace(address, grpc_port=grpc_port) for address in found])

    def close(self) -> None:
        for node in self._nodes:
            node.client.close()


class Addresses:
    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    def __str__(self) -> str:
        return ", ".join(map(str, self._addresses))

    def hint(self) -> str:
        """The first hint of the addresses, see Address.hint."""
        return next(filter(None, (address.hint() for address in self._addresses)), "")
