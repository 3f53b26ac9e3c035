"""What one process of a fleet deletes by its scope, seen from another: all of it or nothing.

Qdrant deletes a few at a time, and others read in between. In some rounds the process is killed
when half of it is deleted: until others have settled that, who reads it is told to come again.
ROUNDS says how many rounds there are.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.model.looking import kill
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

ROUNDS = int(os.environ.get("ROUNDS") or 12)
KILLS = max(1, ROUNDS // 20)  # the lease of each has to end: 20 s
MANY, AT_ONCE = 30, 3
SETTLED_S = 90
DELETE = "/collections/memories/points/delete"

Reader = Callable[[Service, str], int | None]
"""How many memories of a user it is shown; None where it is told to come again."""


def listed(service: Service, user: str) -> int | None:
    return shown(service.post("get_all", {"user_id": user}))


def found(service: Service, user: str) -> int | None:
    return shown(service.post("search", {"query": "tea", "user_id": user, "limit": MANY}))


def shown(answer: httpx.Response) -> int | None:
    if answer.status_code == 503:
        assert answer.json()["code"] == "service_busy"
        return None
    return len(answer.json()["results"])


def exported(service: Service, user: str) -> int | None:
    answer = service.http.post("/export", json={"user_id": user})
    if answer.status_code == 503:
        return None
    *lines, end = map(json.loads, answer.iter_lines())
    assert (end["type"], end["memories"]) == ("end", len(lines) - 1)
    return len(lines) - 1


READERS: tuple[Reader, ...] = (listed, found, exported)


class Watch:
    """Readers that ask all the time, and what they are shown."""

    def __init__(self, service: Service, user: str) -> None:
        self.seen: list[list[int | None]] = [[] for _ in READERS]
        self._service = service
        self._user = user
        self._end = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ThreadPoolExecutor(len(READERS)) as pool:
            threads = [
                pool.submit(self._read, *one) for one in zip(READERS, self.seen, strict=True)
            ]
            try:
                wait_for(lambda: all(self.seen), 30)
                yield
            finally:
                self._end.set()
                for thread in threads:
                    thread.result()

    def all_see(self, number: int) -> bool:
        return all(seen[-1] == number for seen in self.seen)

    def _read(self, reader: Reader, seen: list[int | None]) -> None:
        while not self._end.is_set():
            seen.append(reader(self._service, self._user))


@contextmanager
def running(folder: Path) -> Iterator[tuple[list[Service], QdrantServer]]:
    with ExitStack() as stack:
        postgresql = stack.enter_context(PostgreSQLServer())
        qdrant = stack.enter_context(QdrantServer())
        qdrant.deletes_at_once = AT_ONCE
        settings = {
            "DATABASE_URL": postgresql.database(),
            "QDRANT_URL": qdrant.url,
            "QDRANT_TIMEOUT": "60",
            "FLUSH_SECONDS": "1",
        }
        services = [Service(folder / f"data-{number}", **settings) for number in range(2)]
        for service in services:
            stack.enter_context(service)
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 60)  # noqa: B023
        yield services, qdrant


def kill_amid_deletion(service: Service, qdrant: QdrantServer, user: str, ids: list[str]) -> None:
    before = qdrant.count(DELETE)
    held = qdrant.fault(DELETE, hang=True, times=1)
    with ThreadPoolExecutor() as pool:
        deleting = pool.submit(service.post, "delete_all", {"user_id": user})
        assert qdrant.wait_for(before + 1, DELETE, 30)
        httpx.post(f"{qdrant.url}{DELETE}", json={"points": ids[: MANY // 2]}).raise_for_status()
        kill(service)
        assert deleting.exception()
    held.clear()
    service.start()


def test_all_of_it_or_nothing(tmp_path: Path) -> None:
    told = Counter[str]()
    with running(tmp_path) as (services, qdrant):
        for number in range(ROUNDS):
            user = f"user-{number}"
            deleter, other = services[:: 1 if number % 2 else -1]
            adds = [{"data": f"tea {n}", "user_id": user} for n in range(MANY)]
            answer = deleter.http.post("/batch", json={"adds": adds}).json()
            ids = [one["result"] for one in answer["results"]]
            watch = Watch(other, user)
            with watch.watching():
                if number < KILLS:
                    kill_amid_deletion(deleter, qdrant, user, ids)
                else:
                    deleter.ask("delete_all", user_id=user)
                wait_for(lambda: watch.all_see(0), SETTLED_S)  # noqa: B023
            told.update(str(one) for seen in watch.seen for one in seen)
    print(f"\nrounds {ROUNDS}, killed {KILLS}, told {dict(told)}")
    assert told.keys() <= {"0", str(MANY), "None"}
