#!/usr/bin/env python3
"""CPU of each route: ms per request, as a multiple of a bare Flask handler, and against mem0.

    .venv/bin/python benchmarks/cpu.py [ROUNDS [CLIENTS ["ROUTE; ROUTE"]]]

One gunicorn worker, embedded engine, OpenAI's stub at 384 dimensions, 1,000 memories, CLIENTS
(default 8); stock mem0 in process, called from as many threads; the bare handler under gunicorn's
own threaded worker. All in turn, ROUNDS times (default 3), 2 s each. BENCH_X=... gives the service
the setting X. Then history of a memory among 100,000 rows.
"""

import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Target, floor, in_turn, openai_stub, ours, stock_mem0
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


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    wanted = sys.argv[3].split("; ") if len(sys.argv) > 3 else SCENARIOS
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        folder = Path(tmp)
        stub = stack.enter_context(openai_stub())
        service = stack.enter_context(ours(stub, folder))
        bare = stack.enter_context(floor(folder / "floor"))
        mem0 = stack.enter_context(stock_mem0(stub, folder / "mem0"))
        service.grow(1000)
        mem0.grow(1000)
        print("| route | bare Flask, CPU ms | ours | times bare | mem0 in process | mem0/ours |")
        print("|---|---|---|---|---|---|")

        def row(name: str, scenario: str) -> None:
            found = in_turn(
                {
                    "bare": lambda: bare.load("get", clients, SECONDS),
                    "ours": lambda: service.load(scenario, clients, SECONDS),
                    "mem0": lambda: mem0.load(scenario, clients, SECONDS),
                },
                rounds,
            )
            cpu = {name: median([one.cpu_ms for one in each]) for name, each in found.items()}
            failed = [one.failed for each in found.values() for one in each if one.failed]
            print(
                f"| {name} | {cpu['bare']:.2f} | {cpu['ours']:.2f} "
                f"| {cpu['ours'] / cpu['bare']:.1f} | {cpu['mem0']:.2f} "
                f"| {cpu['mem0'] / cpu['ours']:.1f} |",
                failed or "",
                flush=True,
            )

        for scenario in wanted:
            row(scenario, scenario)
        long_history(service)
        row(f"history, {ROWS:,} rows (ours)", "history")


if __name__ == "__main__":
    main()
