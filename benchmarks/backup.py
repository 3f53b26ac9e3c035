"""What a backup costs while the service runs: seconds, size, and how long a writer waits for it.

    .venv/bin/python benchmarks/backup.py [memories]

On the embedded engine. Vectors and texts are made up, since no model matters here. One thread adds
and one gets a memory after the other, before the backup and while it is made.
"""

import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from harness import ExitStack  # the first: it finds the modules of the tests

from app.storage.history.database import Database
from app.storage.history.sqlite import SQLite
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writes import Write
from app.storage.payloads import history_row, new_id, new_payload
from app.storage.vectors.edge import EdgeStore
from tests.cli import Command
from tests.filling import LOCAL
from tests.service import Service, wait_for

SIZES = (10_000, 100_000)
TOGETHER = 500
BEFORE_S = 5.0
WORDS = [f"word{n}" for n in range(5000)]


def fill(folder: Path, number: int) -> None:
    store, database = EdgeStore(folder / "qdrant"), Database(SQLite(folder / "history.db"))
    store.prepare(LOCAL)
    journal = Journal(database, FileLocks(folder / "processes"), flushes=True)
    for start in range(0, number, TOGETHER):
        points: dict[str, Any] = {}
        for _ in range(TOGETHER):
            text = " ".join(random.choices(WORDS, k=14))
            payload = new_payload(text, {"user_id": f"user-{start // TOGETHER % 50}"}, {})
            points[new_id()] = ([random.gauss(0, 1) for _ in range(384)], payload)
        rows = [history_row("ADD", id_, None, payload) for id_, (_, payload) in points.items()]
        journal.write(store, Write(rows, points))
        journal.flushed(store.flush)
    journal.close()
    store.close()
    database.close()


class Asking:
    """A thread that asks one thing after the other, and how long each took, in s."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._end = threading.Event()
        self.took: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            started = time.perf_counter()
            self._ask()
            self.took.append(time.perf_counter() - started)
            time.sleep(0.002)

    def taken(self) -> list[float]:
        took, self.took = self.took, []
        return took

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def measured(folder: Path, number: int) -> None:
    fill(folder / "data", number)
    with ExitStack() as stack:
        service = stack.enter_context(Service(folder / "data"))
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 60)
        known = service.ask("get_all", limit=1)["results"][0]["id"]
        clients = [service.client(), service.client()]
        body = {"data": "tea", "user_id": "ann", "infer": False}
        adding = Asking(lambda: clients[0].post("/memory/add", json=body).raise_for_status())
        getting = Asking(lambda: clients[1].post("/memory/get", json={"memory_id": known}))
        stack.callback(getting.close)
        stack.callback(adding.close)
        time.sleep(BEFORE_S)
        show("before", adding.taken(), getting.taken())
        started = time.perf_counter()
        Command("backup", service).must(folder / "memories.zip")
        seconds = time.perf_counter() - started
        show("meanwhile", adding.taken(), getting.taken())
    size = (folder / "memories.zip").stat().st_size / 1e6
    print(f"{number} memories: backup {seconds:.1f} s, {size:.0f} MB")
    other = Service(folder / "restored")
    started = time.perf_counter()
    Command("restore", other).must(folder / "memories.zip")
    print(f"{number} memories: restore {time.perf_counter() - started:.1f} s")


def show(when: str, adds: list[float], gets: list[float]) -> None:
    for name, took in (("add", adds), ("get", gets)):
        ordered = sorted(took)
        p99 = ordered[int(len(ordered) * 0.99)]
        figures = [f"{seconds * 1000:.1f}" for seconds in (median(took), p99, ordered[-1])]
        print(f"  {when}: {name} p50 / p99 / longest {' / '.join(figures)} ms of {len(took)}")


def main() -> None:
    for number in [int(sys.argv[1])] if len(sys.argv) > 1 else SIZES:
        with TemporaryDirectory() as folder:
            measured(Path(folder), number)


if __name__ == "__main__":
    main()
