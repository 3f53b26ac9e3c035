#!/usr/bin/env python3
"""Deleting very much at once: its time, the service's memory, and what others feel meanwhile.

    .venv/bin/python benchmarks/large_deletion.py [MEMORIES [CHARACTERS]]

MEMORIES (default 100,000) of one user with CHARACTERS (default 10,000) each are put straight into
the embedded store; then one `delete_all` over HTTP, beside it a `get` and an `add` of another user
every 50 ms.
"""

import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.config import prepare_environment

prepare_environment(Path(tempfile.mkdtemp()))

from app.embeddings import EmbedderInfo  # noqa: E402
from app.storage.history.database import Database  # noqa: E402
from app.storage.history.rows import add  # noqa: E402
from app.storage.history.sqlite import SQLite  # noqa: E402
from app.storage.payloads import history_row, new_id, new_payload  # noqa: E402
from app.storage.vectors.edge import EdgeStore  # noqa: E402
from tests.service import Service  # noqa: E402

SIZE = 384
EMBEDDER = EmbedderInfo("local/multilingual-e5-small", SIZE)


def fill(folder: Path, memories: int, characters: int) -> None:
    store = EdgeStore(folder / "qdrant")
    store.prepare(EMBEDDER)
    database = Database(SQLite(folder / "history.db"))
    text = "tea and mountains " * (characters // 18)
    for start in range(0, memories, 500):
        points, rows = {}, []
        for number in range(start, min(start + 500, memories)):
            payload = new_payload(f"{number} {text}"[:characters], {"user_id": "many"}, {})
            id_ = new_id()
            points[id_] = ([1.0 if n == number % SIZE else 0.01 for n in range(SIZE)], payload)
            rows.append(history_row("ADD", id_, None, payload))
        store.put(points)
        database.write(partial(add, rows=rows))
    store.flush()
    store.close()
    database.close()


def status_mb(service: Service, name: str) -> float:
    shown = [Path(f"/proc/{pid}/status").read_text() for pid in service.workers()]
    return sum(int(status.split(name)[1].split()[0]) for status in shown) / 1000


def main() -> None:
    memories = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    characters = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "data"
        fill(folder, memories, characters)
        with Service(folder) as service:
            mine = service.ask("add", data="mine", user_id="other")["result"]
            over = threading.Event()
            waits: dict[str, list[float]] = {"get": [], "add": []}
            peak = {"VmRSS:": 0.0, "RssAnon:": 0.0}

            def beside() -> None:
                while not over.wait(0.05):
                    for name, body in (("get", {"memory_id": mine}), ("add", {"user_id": "other"})):
                        started = time.perf_counter()
                        service.ask(name, **body, **({"data": "x"} if name == "add" else {}))
                        waits[name].append(time.perf_counter() - started)
                    for name in peak:
                        peak[name] = max(peak[name], status_mb(service, name))

            watching = threading.Thread(target=beside)
            watching.start()
            service.http.timeout = 600
            started = time.perf_counter()
            deleted = service.ask("delete_all", user_id="many")["deleted"]
            took = time.perf_counter() - started
            over.set()
            watching.join()
        print(f"{deleted} of {characters} characters deleted in {took:.1f} s")
        print(", ".join(f"{name} peak {mb:.0f} MB" for name, mb in peak.items()))
        for name, seconds in waits.items():
            print(f"{name} beside it: {len(seconds)} asked, slowest {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
