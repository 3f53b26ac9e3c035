#!/usr/bin/env python3
"""CPU of each route: ms per request, as a multiple of a bare Flask handler, and against mem0.

    .venv/bin/python benchmarks/cpu.py [ROUNDS [CLIENTS ["ROUTE; ROUTE" [QDRANT]]]]

One gunicorn worker, embedded engine, OpenAI's stub at 384 dimensions, 1,000 memories, CLIENTS
(default 8); stock mem0 in process, called from as many threads; the bare handler under gunicorn's
own threaded worker. All in turn, ROUNDS times (default 3), 2 s each. BENCH_X=... gives the service
the setting X. Then history of a memory among 100,000 rows.

QDRANT is the address of a server, with gRPC at the next port, or `stand-in`: then the service is
measured on it over REST and over gRPC, each in a collection of its own, and mem0 uses it too.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import (
    Stock,
    Target,
    floor,
    in_turn,
    on_qdrant,
    openai_stub,
    ours,
    qdrant_stub,
    stock_mem0,
)
from benchmarks.load import median

SCENARIOS = [
    "get",
    "history",
    "search",
    "search, 132 texts",
    "add, infer=false",
    "update",
    "add, infer=true",
]
SECONDS = 2.0
ROWS = 100_000


def long_history(target: Target) -> None:
    """So many rows of other memories, written straight into the file."""
    rows = [(f"{n:036}", f"{n % 5000:036}", f"note {n}") for n in range(ROWS)]
    path = target.service.data_dir / "history.db"
    with sqlite3.connect(path, timeout=30) as connection:
        connection.executemany(
            "INSERT INTO history (id, memory_id, new_memory, event, is_deleted) "
            "VALUES (?, ?, ?, 'ADD', 0)",
            rows,
        )
    connection.close()
    time.sleep(6)  # SQLite's log of them is emptied every 5 s, which is no request's cost


Targets = dict[str, Target | Stock]


@contextmanager
def targets(folder: Path, qdrant: str) -> Iterator[Targets]:
    with ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        found: Targets = {"bare": stack.enter_context(floor(folder / "floor"))}
        if qdrant == "stand-in":
            qdrant = stack.enter_context(qdrant_stub())
        for name, settings in (by_rest_and_grpc(qdrant) if qdrant else {"ours": {}}).items():
            (folder / name).mkdir()
            found[name] = stack.enter_context(ours(stub, folder / name, **settings))
        found["mem0"] = stack.enter_context(stock_mem0(stub, folder / "mem0", qdrant))
        yield found


def by_rest_and_grpc(url: str) -> dict[str, dict[str, str]]:
    return {
        f"ours, {name}": {
            **on_qdrant(url),
            "QDRANT_GRPC": grpc,
            "QDRANT_COLLECTION": f"bench-{grpc}-{os.getpid()}",
        }
        for name, grpc in (("REST", "off"), ("gRPC", "on"))
    }


def measure(found: Targets, scenario: str, clients: int, rounds: int) -> None:
    """One row of the table."""
    loads = {
        name: partial(target.load, "get" if name == "bare" else scenario, clients, SECONDS)
        for name, target in found.items()
    }
    taken = in_turn(loads, rounds)
    cpu = {name: median([one.cpu_ms for one in each]) for name, each in taken.items()}
    failed = [one.failed for each in taken.values() for one in each if one.failed]
    shown = " | ".join(f"{ms:.2f} ({ms / cpu['bare']:.1f})" for ms in cpu.values())
    print(f"| {scenario} | {shown} |", failed or "", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    wanted = sys.argv[3].split("; ") if len(sys.argv) > 3 else SCENARIOS
    qdrant = sys.argv[4] if len(sys.argv) > 4 else ""
    with (
        tempfile.TemporaryDirectory() as tmp,
        targets(Path(tmp), qdrant) as found,
    ):
        for name, target in found.items():
            if name != "bare":
                target.grow(1000)
        print("CPU ms of a request, and how many times a bare handler's")
        print(f"| route | {' | '.join(found)} |")
        print("|---" * (len(found) + 1) + "|")
        for scenario in wanted:
            measure(found, scenario, clients, rounds)
        if not qdrant:
            long_history(found["ours"])
            print(f"history, {ROWS:,} rows:")
            measure(found, "history", clients, rounds)


if __name__ == "__main__":
    main()
