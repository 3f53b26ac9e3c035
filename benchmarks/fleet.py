#!/usr/bin/env python3
"""What more processes cost: CPU of each route at 1, 2 and 3, and the wait for one memory.

    .venv/bin/python benchmarks/fleet.py [ROUNDS [CLIENTS]]

Services of one worker each, with folders of their own, on one PostgreSQL with fsync, the stand-in
for Qdrant by gRPC and OpenAI's stub, 1,000 memories. CLIENTS (default 6) are shared out evenly, and
all numbers of processes are measured in turn, ROUNDS times (default 3), 2 s each. CPU is that of
the services alone; figures are ratios to one process, since they share two cores with everything
else. Then all clients change one memory, at one process and at three.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Target, in_turn, on_qdrant, openai_stub, ours, qdrant_stub
from benchmarks.load import Operation, Taken, median, operations
from tests.servers.postgresql import PostgreSQLServer

SCENARIOS = ["get", "history", "get_all of 50", "search"]
SCENARIOS += ["add, infer=false", "add, infer=true", "update"]
SECONDS = 2.0
MOST = 3


@contextmanager
def processes(folder: Path, database: str) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        url = stack.enter_context(qdrant_stub())
        shared = {
            **on_qdrant(url),
            "QDRANT_GRPC": "on",
            "QDRANT_REPLICAS": "1",
            "DATABASE_URL": database,
        }
        found = []
        for number in range(MOST):
            own = folder / str(number)
            own.mkdir()
            found.append(stack.enter_context(ours(stub, own, **shared)))
        yield found


def load(
    targets: Sequence[Target], make: Callable[[int], Iterator[Operation]], clients: int
) -> Taken:
    """The clients shared out evenly among the targets."""
    shares = [range(first, clients, len(targets)) for first in range(len(targets))]

    def of_one(target: Target, mine: range) -> Taken:
        return target.under(lambda number: make(mine[number]), len(mine), SECONDS)

    with ThreadPoolExecutor(len(targets)) as pool:
        parts = [*pool.map(of_one, targets, shares)]
    return Taken(
        [second for part in parts for second in part.seconds],
        [failure for part in parts for failure in part.failed],
        max(part.elapsed for part in parts),
        sum(part.cpu_s for part in parts),
    )


def routes(found: Sequence[Target], clients: int, rounds: int) -> None:
    print("| route | CPU ms at 1 | at 2 | at 3 | p50 ms at 1 | at 2 | at 3 | refused |")
    print("|---|---|---|---|---|---|---|---|")
    for scenario in SCENARIOS:
        make = partial(operations, scenario, ids=found[0].ids)
        loads = {
            str(number): partial(load, found[:number], make, clients)
            for number in range(1, MOST + 1)
        }
        taken = in_turn(loads, rounds)
        cpu = [median([one.cpu_ms for one in each]) for each in taken.values()]
        p50 = [median([one.ms(0.5) for one in each]) for each in taken.values()]
        refused = sum(len(one.failed) for each in taken.values() for one in each)
        figures = " | ".join(f"{figure:.2f}" for figure in (*cpu, *p50))
        print(f"| {scenario} | {figures} | {refused} |", flush=True)


def contention(found: Sequence[Target], clients: int, rounds: int) -> None:
    """Everybody changes the same memory."""
    memory_id = found[0].ids[0]

    def changes(client: int) -> Iterator[Operation]:
        for step in count():
            yield ("update", {"memory_id": memory_id, "data": f"changed {client} {step}"})

    loads = {str(number): partial(load, found[:number], changes, clients) for number in (1, MOST)}
    print("\n| one memory, changed by all | a second | p50 ms | p99 ms | refused |")
    print("|---|---|---|---|---|")
    for number, each in in_turn(loads, rounds).items():
        figures = [
            median([value(one) for one in each])
            for value in (
                lambda one: one.per_second,
                lambda one: one.ms(0.5),
                lambda one: one.ms(0.99),
            )
        ]
        refused = sum(len(one.failed) for one in each)
        shown = " | ".join(f"{figure:.1f}" for figure in figures)
        print(f"| {number} processes | {shown} | {refused} |", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    with (
        tempfile.TemporaryDirectory() as tmp,
        PostgreSQLServer(fsync="on") as server,
        processes(Path(tmp), server.database()) as found,
    ):
        found[0].grow(1000)
        routes(found, clients, rounds)
        contention(found, clients, rounds)


if __name__ == "__main__":
    main()
