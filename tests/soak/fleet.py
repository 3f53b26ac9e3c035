"""Several processes, as on hosts of their own, on one PostgreSQL and one Qdrant that can fail."""

import contextlib
import itertools
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.metrics import value
from tests.model.looking import Row, kill
from tests.servers.openai import OpenAIServer
from tests.servers.passage import Passage
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import ADMIN_KEY, Service, wait_for
from tests.soak.deployment import POINTS

PROCESSES = 3
QDRANT_S = 2
LLM_S = 0.5
LEASE_S = 15  # app/storage/journal/leases.py
SETTLED_S = 6 * LEASE_S  # who took part in a failure waits for its own, and then for another's
BEYOND_LEASE_S = (LEASE_S + 3, LEASE_S + 6)
WITHIN_S = (0.0, 12.0)
"""When a thing happens that does not last."""
LOSSES, LOSS_S = 4, (0.5, 2.0)
WRITES = ((POINTS, "PUT"), (f"{POINTS}/delete", "POST"))
PATIENCE_S = 8
SPARED = 0.98
ROWS = "SELECT memory_id, event, old_memory, new_memory FROM history ORDER BY seq"
OPEN = """SELECT (SELECT count(*) FROM intents) + (SELECT count(*) FROM locks)
    + (SELECT count(*) FROM jobs WHERE lane IS NOT NULL)"""


class Member(Service):
    """Asked by its admin, unless a request says otherwise."""

    def client(self) -> httpx.Client:
        client = super().client()
        client.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        return client


class Fleet:
    """Asked like one Service: each request goes to the next of its processes."""

    def __init__(
        self,
        services: Sequence[Service],
        postgresql: PostgreSQLServer,
        qdrant: QdrantServer,
        database: str,
        ways: Sequence[Passage],
    ) -> None:
        """`ways` are those of the first process, to PostgreSQL and to Qdrant."""
        self.services = services
        self.postgresql = postgresql
        self.qdrant = qdrant
        self.database = database
        self.ways = ways
        self.standing: Service | None = None
        """The one that stands still."""
        self._next = itertools.cycle(services).__next__

    @classmethod
    @contextmanager
    def running(cls, folder: Path, replicas: int) -> Iterator[Self]:
        """`replicas`: of the collection. What is not there is undone where there is one; of several
        another may have it, and it is done again."""
        with ExitStack() as stack:
            postgresql = stack.enter_context(PostgreSQLServer())
            qdrant = stack.enter_context(QdrantServer())
            llm = stack.enter_context(OpenAIServer())
            llm.fault("/v1/chat/completions", delay=LLM_S, apply_first=True)
            model = {"LLM_PROVIDER": "openai", "LLM_BASE_URL": f"{llm.url}/v1"}
            database = postgresql.database()
            ways = [stack.enter_context(Passage(port)) for port in (postgresql.port, qdrant.port)]
            services = []
            for number in range(PROCESSES):
                settings = {"DATABASE_URL": database, "QDRANT_URL": qdrant.url}
                if number == 0:
                    for way in ways:
                        for name, url in settings.items():
                            settings[name] = url.replace(f":{way.target}", f":{way.port}")
                service = Member(
                    folder / f"data-{number}",
                    ADMIN_API_KEY=ADMIN_KEY,
                    QDRANT_TIMEOUT=str(QDRANT_S),
                    QDRANT_REPLICAS=str(replicas),
                    FLUSH_SECONDS="1",
                    **settings,
                    **model,
                )
                services.append(stack.enter_context(service))
            fleet = cls(services, postgresql, qdrant, database, ways)
            fleet.wait_until_ready()
            yield fleet

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Raises httpx.TimeoutException where nobody answers in time. One that stands still is
        asked seldom, as behind a proxy: else all clients would soon wait for it."""
        service = self._next()
        if service is self.standing and random.random() < SPARED:
            service = self._next()
        return service.http.request(method, path, timeout=PATIENCE_S, **options)

    def post(self, route: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", f"/memory/{route}", json=body, **options)

    def ask(self, route: str, **fields: Any) -> Any:
        return self._next().ask(route, **fields)

    # ---- what happens to it

    def happen(self, names: Sequence[str], rng: random.Random) -> None:
        """All of these, which are methods, beside each other."""
        seeds = [rng.getrandbits(32) for _ in names]
        with ThreadPoolExecutor(len(names)) as pool:
            happening = [
                pool.submit(getattr(self, name), random.Random(seed))
                for name, seed in zip(names, seeds, strict=True)
            ]
        for one in happening:
            one.result()

    def kill(self, rng: random.Random) -> None:
        """A process, at any instant; another is there soon."""
        time.sleep(rng.uniform(*WITHIN_S))
        service = rng.choice([one for one in self.services if one is not self.standing])
        kill(service)
        time.sleep(rng.uniform(0, 1))
        service.start()

    def crash_postgresql(self, rng: random.Random) -> None:
        """All that it was at is undone, and all connections break off."""
        time.sleep(rng.uniform(*WITHIN_S))
        self.postgresql.stop(signal.SIGQUIT)
        time.sleep(rng.uniform(0, 2))
        self.postgresql.start()

    def stop(self, rng: random.Random) -> None:
        """A process stands still until the others have taken it for dead, and goes on."""
        self.standing = rng.choice(self.services)
        with signalled(self.standing.workers()):
            time.sleep(rng.uniform(*BEYOND_LEASE_S))
            self.standing = None

    def hang(self, rng: random.Random) -> None:
        """Nothing of what a process sends arrives, until the others have taken it for dead."""
        with self._hanging(rng):
            time.sleep(rng.uniform(*BEYOND_LEASE_S))

    def stutter(self, rng: random.Random) -> None:
        """The same, for a moment."""
        time.sleep(rng.uniform(*WITHIN_S))
        with self._hanging(rng):
            time.sleep(rng.uniform(1, 5))

    def lose_writes(self, rng: random.Random) -> None:
        """For moments Qdrant hangs up on all who write; what it was sent it has done, or not."""
        for _ in range(LOSSES):
            time.sleep(rng.uniform(*WITHIN_S) / LOSSES)
            done = rng.random() < 0.5
            faults = [
                self.qdrant.fault(path, method=method, drop=True, apply_first=done)
                for path, method in WRITES
            ]
            time.sleep(rng.uniform(*LOSS_S))
            for fault in faults:
                fault.clear()

    @contextmanager
    def _hanging(self, rng: random.Random) -> Iterator[None]:
        """To PostgreSQL, to Qdrant, or to both."""
        hanging = rng.choice([self.ways[:1], self.ways[1:], self.ways])
        for way in hanging:
            way.pause()
        yield
        for way in hanging:
            way.go_on()

    # ---- what it has

    def wait_until_ready(self) -> None:
        for service in self.services:
            wait_for(lambda service=service: is_ready(service), SETTLED_S)

    def settle(self) -> None:
        """Wait until no write is left of which nobody knows what became of it; also of requests
        that their clients have given up."""
        self.wait_until_ready()
        for service in self.services:
            wait_for(lambda service=service: in_flight(service) == 0, SETTLED_S)
        wait_for(lambda: self._sql(OPEN) == [(0,)], SETTLED_S)

    def histories(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        names = ("memory_id", "event", "old_memory", "new_memory")
        for row in self._sql(ROWS):
            found[row[0]].append(dict(zip(names, row, strict=True)))
        return found

    def totals(self) -> list[dict[str, int]]:
        """How many memories each user has, as each process says it."""
        answers = [service.http.get("/v1/entities/").json() for service in self.services]
        return [
            {one["id"]: one["total_memories"] for one in answer["results"]} for answer in answers
        ]

    def _sql(self, statement: str) -> list[Any]:
        return self.postgresql.sql(self.database, statement)


def in_flight(service: Service) -> float:
    """But for the one that asks."""
    return value(service, "http_requests_in_flight") - 1


def is_ready(service: Service) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return bool(service.http.get("/ready").json()["status"] == "ok")
    return False


@contextmanager
def signalled(processes: list[int]) -> Iterator[None]:
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
