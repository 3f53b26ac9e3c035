"""Closed-loop load: each client sends its next request when the last one is answered."""

import asyncio
import json
import random
import re
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Operation = tuple[str, dict[str, Any]]
"""A route of the service, or another path of it, and its body."""

WHAT = ["hiking", "cycling", "painting", "chess", "coffee", "gardening", "opera", "sailing"]
WHERE = ["the mountains", "the old town", "a small cafe", "the garden", "the harbour"]
WHO = ["friends", "Alice", "a cousin", "the neighbours", "colleagues", "Bruno", "nobody"]
USERS = 10


def sentence(seed: object) -> str:
    pick = random.Random(str(seed))
    likes = f"I like {pick.choice(WHAT)} and {pick.choice(WHAT)}"
    return f"{likes} in {pick.choice(WHERE)} with {pick.choice(WHO)}, note {seed}"


def question(seed: object) -> str:
    pick = random.Random(str(seed))
    return f"who do I like {pick.choice(WHAT)} with in {pick.choice(WHERE)}, {seed}"


def operations(scenario: str, client: int, ids: Sequence[str]) -> Iterator[Operation]:
    """What one client asks; every text is new, so that no cache helps unless it says so."""
    pick = random.Random(client)
    run = uuid.uuid4().hex[:6]
    step = 0
    while True:
        step += 1
        user, new = f"user-{pick.randrange(USERS)}", f"{run}-{client}-{step}"
        one = {"memory_id": pick.choice(ids) if ids else ""}
        yield {
            "get": ("get", one),
            "history": ("history", one),
            "get_all of 50": ("get_all", {"user_id": user, "limit": 50}),
            "search": ("search", {"query": question(new), "user_id": user}),
            "search, 132 texts": (
                "search",
                {"query": question(pick.randrange(132)), "user_id": user},
            ),
            "add, infer=false": ("add", {"data": sentence(new), "user_id": user, "infer": False}),
            "add, infer=true": ("add", {"data": sentence(new), "user_id": user, "infer": True}),
            "update": ("update", {**one, "data": sentence(new)}),
        }[scenario]


@dataclass
class Taken:
    """What one measurement saw. `cpu_s` is of the server's processes."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    cpu_s: float = 0.0

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s * 1000 / max(1, len(self.seconds))

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed

    def ms(self, share: float) -> float:
        """A percentile; the median is ms(0.5)."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def drive(
    port: int,
    make: Callable[[int], Iterator[Operation]],
    clients: int,
    seconds: float,
    header: str = "",
) -> Taken:
    """Load on 127.0.0.1:port; `make` gives each client its operations, and `header` is one more of
    each request."""
    return asyncio.run(_drive(port, make, clients, seconds, header))


async def _drive(
    port: int,
    make: Callable[[int], Iterator[Operation]],
    clients: int,
    seconds: float,
    header: str,
) -> Taken:
    taken = Taken()
    started = time.perf_counter()

    async def client(number: int) -> None:
        connection = Connection(port, header)
        for operation in make(number):
            sent = time.perf_counter()
            if sent > started + seconds:
                break
            status, _ = await connection.ask(operation)
            if status < 300:
                taken.seconds.append(time.perf_counter() - sent)
            else:
                taken.failed.append(str(status))
        connection.close()

    await asyncio.gather(*map(client, range(clients)))
    taken.elapsed = time.perf_counter() - started
    return taken


class Connection:
    """One kept-alive connection: much less work than a full HTTP client."""

    def __init__(self, port: int, header: str = "") -> None:
        self._port = port
        self._header = f"{header}\r\n" if header else ""
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, operation: Operation) -> tuple[int, bytes]:
        """The status, or 599 where the server broke off, and the body."""
        route, body = operation
        text = json.dumps(body).encode()
        path = route if route.startswith("/") else f"/memory/{route}"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        head += f"{self._header}\r\n"
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(head.encode() + text)
            answer = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", answer)
            found = await self._reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 599, b""
        if re.search(rb"(?i)connection: *close", answer):
            self.close()
        return int(answer[9:12]), found

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
