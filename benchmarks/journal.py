#!/usr/bin/env python3
"""The price of the journal, and how a large listing is given.

    .venv/bin/python benchmarks/journal.py

Adds per second on the embedded engine with the journal as shipped and with one that keeps no
intent, in turn, in one process and without an embedder's cost; then get_all of 100,000 memories
over HTTP: time to the first byte, to the last, and how much the service's memory grows.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402

from app.config import prepare_environment  # noqa: E402

prepare_environment(Path(tempfile.mkdtemp()))

from app.embeddings import EmbedderInfo  # noqa: E402
from app.storage.history.database import Database  # noqa: E402
from app.storage.history.rows import add  # noqa: E402
from app.storage.history.sqlite import SQLite  # noqa: E402
from app.storage.journal.journal import Journal  # noqa: E402
from app.storage.journal.writes import Write  # noqa: E402
from app.storage.payloads import history_row, new_id, new_payload  # noqa: E402
from app.storage.vectors.edge import EdgeStore  # noqa: E402
from app.storage.vectors.store import VectorStore  # noqa: E402
from tests.service import Service  # noqa: E402

SIZE = 384
EMBEDDER = EmbedderInfo("local/multilingual-e5-small", SIZE)
ADDS = 200
MANY = 100_000


class NoJournal(Journal):
    """Writes the points, then the rows, and hopes."""

    def write(self, store: VectorStore, intent: Write) -> None:
        for step in intent.steps(store):
            step()
        self.database.write(lambda connection: add(connection, intent.rows))


def adding(number: int) -> Write:
    payload = new_payload(f"note {number}", {"user_id": f"u{number % 20}"}, {})
    vector = [1.0 if place == number % SIZE else 0.01 for place in range(SIZE)]
    id_ = new_id()
    row = history_row("ADD", id_, None, payload)
    return Write([row], {id_: (vector, payload)}, embedder=EMBEDDER)


def price(folder: Path) -> None:
    rates: dict[str, list[float]] = {"with": [], "without": []}
    for round_ in range(4):
        for name, kind in (("with", Journal), ("without", NoJournal)):
            here = folder / f"{name}{round_}"
            store = EdgeStore(here / "qdrant")
            store.prepare(EMBEDDER)
            database = Database(SQLite(here / "history.db"))
            journal = kind(database, here / "processes", flushes=True)
            started = time.perf_counter()
            for number in range(ADDS):
                journal.write(store, adding(number))
            rates[name].append(ADDS / (time.perf_counter() - started))
            journal.close()
            store.close()
            database.close()
    on, off = (statistics.median(rates[name]) for name in ("with", "without"))
    print(f"adds per second: {on:.0f} with the journal, {off:.0f} without, ratio {on / off:.2f}")


def listing(folder: Path) -> None:
    store = EdgeStore(folder / "data" / "qdrant")
    store.prepare(EMBEDDER)
    for start in range(0, MANY, 1000):
        points: dict[str, Any] = {}
        for number in range(start, start + 1000):
            points |= adding(number).points
        store.put(points)
    store.flush()
    store.close()
    with Service(folder / "data") as service:
        before = resident_mb(service)
        started = time.perf_counter()
        first = peak = 0.0
        parts = []
        with httpx.stream("POST", f"{service.url}/memory/get_all", timeout=120) as response:
            for part in response.iter_bytes():
                first = first or time.perf_counter() - started
                parts.append(part)
                if len(parts) % 50 == 0:
                    peak = max(peak, resident_mb(service))
        took = time.perf_counter() - started
        total = json.loads(b"".join(parts))["total"]
        print(
            f"get_all of {total:,}: first byte {first:.2f} s, last {took:.1f} s, "
            f"its own memory {before:.0f} -> {max(peak, resident_mb(service)):.0f} MB"
        )


def resident_mb(service: Service) -> float:
    """Its own memory, without the engine's mapped files, which the kernel may drop."""
    shown = [Path(f"/proc/{pid}/status").read_text() for pid in service.workers()]
    return sum(int(status.split("RssAnon:")[1].split()[0]) for status in shown) / 1000


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        price(Path(folder))
        listing(Path(folder))
