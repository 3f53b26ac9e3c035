"""The nodes of a Qdrant cluster: which one is asked, and which are passed over for a while."""

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
"""How long one that failed is passed over before it is looked at again."""


class Node(NamedTuple):
    address: Address
    client: QdrantClient
    """That asks this node alone."""


class Nodes:
    """One or more, by their numbers. Safe for many threads.

    One that failed comes last, until it says that it is ready: it is asked that by a thread of
    its own, so that no request waits for it. Where all have failed, all are tried.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        is_ready: Callable[[int], bool] = lambda _: True,
        first: int = 0,
        again_s: float = AGAIN_S,
    ) -> None:
        """`first`: which one is asked as long as it is well. `is_ready` asks the one of that
        number, and must not take long."""
        self._nodes = nodes
        self._is_ready = is_ready
        self._again_s = again_s
        self._order = [(first + number) % len(nodes) for number in range(len(nodes))]
        self._look_at: dict[int, float] = {}  # when the ones that failed are looked at again
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, number: int) -> Node:
        return self._nodes[number]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def in_turn(self) -> list[int]:
        """All of them, in the order in which they should be asked."""
        if not self._look_at:  # without the lock: nearly always so
            return self._order
        with self._changing:
            failed = [number for number in self._order if number in self._look_at]
            due = [number for number in failed if self._look_at[number] <= time.monotonic()]
            for number in due:  # by nobody else meanwhile
                self._look_at[number] = time.monotonic() + self._again_s
        for number in due:
            threading.Thread(target=self._look, args=(number,), daemon=True).start()
        return [number for number in self._order if number not in failed] + failed

    def failed(self, number: int) -> None:
        if len(self._nodes) == 1:  # there is none that could be asked in its place
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
        """What an operator may want to know of them."""
        failed = [str(self._nodes[number].address) for number in sorted(self._look_at)]
        return f"Passed over, since they failed: {', '.join(failed)}." if failed else None

    def _look(self, number: int) -> None:
        if self._is_ready(number):
            self.answered(number)

    def address(self, grpc_port: int | None = None) -> "Addresses":
        """Where they are, as messages name it; `grpc_port`: see Address."""
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
        """See Address.hint: that of the first that has one."""
        return next(filter(None, (address.hint() for address in self._addresses)), "")
