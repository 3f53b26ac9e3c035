#!/usr/bin/env python3
"""The history in a file and in PostgreSQL: CPU of each route, and the statements that it sends.

    .venv/bin/python benchmarks/databases.py [ROUNDS [CLIENTS]]

Two services of one worker each, on the stand-in for Qdrant by gRPC and OpenAI's stub, 1,000
memories, CLIENTS (default 8), all in turn, ROUNDS times (default 3), 2 s each. PostgreSQL with
fsync, on the same disk. Its CPU is that of all its processes. Each statement is one way to the
server and back, BEGIN, COMMIT and the look whether a connection lives (;) too.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Target, cpu_s, in_turn, on_qdrant, openai_stub, ours, qdrant_stub
from benchmarks.load import Taken, median
from tests.servers.postgresql import PostgreSQLServer

SCENARIOS = ["get", "history", "search", "add, infer=false", "update"]
SECONDS = 2.0
REQUESTS: dict[str, dict[str, Any]] = {
    "add": {"data": "I like tea", "user_id": "user-0", "infer": False},
    "get": {},
    "history": {},
    "update": {"data": "I like green tea"},
    "delete": {},
    "delete_all": {"user_id": "user-0"},
}
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]+): (.*)")


@contextmanager
def services(folder: Path, server: PostgreSQLServer) -> Iterator[dict[str, Target]]:
    with ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        url = stack.enter_context(qdrant_stub())
        shared = {
            **on_qdrant(url),
            "QDRANT_GRPC": "on",
        }
        own = {"SQLite": {}, "PostgreSQL": {"DATABASE_URL": server.database()}}
        found = {}
        for name, settings in own.items():
            (folder / name).mkdir()
            collection = {"QDRANT_COLLECTION": name}
            made = ours(stub, folder / name, **shared, **collection, **settings)
            found[name] = stack.enter_context(made)
        yield found


class Watched:
    """A service whose database has processes of its own."""

    def __init__(self, target: Target, server: PostgreSQLServer) -> None:
        self._target, self._server = target, server
        self.database_cpu_s = 0.0

    def load(self, scenario: str, clients: int, seconds: float) -> Taken:
        before = cpu_s(self._server.processes())
        taken = self._target.load(scenario, clients, seconds)
        self.database_cpu_s = cpu_s(self._server.processes()) - before
        return taken


def measure(found: dict[str, Target], server: PostgreSQLServer, clients: int, rounds: int) -> None:
    watched = Watched(found["PostgreSQL"], server)
    print("CPU ms of a request; p50 in ms")
    print("| route | SQLite | PostgreSQL | and PostgreSQL's own | p50 SQLite | p50 PostgreSQL |")
    print("|---|---|---|---|---|---|")
    for scenario in SCENARIOS:
        own: list[float] = []

        def load_watched(scenario: str = scenario, own: list[float] = own) -> Taken:
            taken = watched.load(scenario, clients, SECONDS)
            own.append(watched.database_cpu_s / max(1, len(taken.seconds)) * 1000)
            return taken

        loads = {"SQLite": partial(found["SQLite"].load, scenario, clients, SECONDS)}
        taken = in_turn({**loads, "PostgreSQL": load_watched}, rounds)
        cpu = [median([one.cpu_ms for one in each]) for each in taken.values()]
        p50 = [median([one.ms(0.5) for one in each]) for each in taken.values()]
        figures = [*cpu, median(own), *p50]
        print(f"| {scenario} | {' | '.join(f'{figure:.2f}' for figure in figures)} |", flush=True)


def statements(target: Target, server: PostgreSQLServer) -> None:
    """What one request sends, of a service that does nothing else."""
    print("| route | statements | |\n|---|---|---|")
    ask = target.service.ask
    ids = [
        ask("add", data=f"I like tea {n}", user_id="user-0", infer=False)["result"]
        for n in range(8)
    ]
    for name, body in REQUESTS.items():
        for last in (False, True):  # the first one may open a connection
            of_memory = {} if "user_id" in body else {"memory_id": ids.pop()}
            before = len(server.log())
            ask(name, **body, **of_memory)
            if last:
                told(name, STATEMENT.findall(server.log()[before:]))


def told(name: str, sent: list[str]) -> None:
    mine = [one for one in sent if "renewed_at" not in one and "jobs.state" not in one]
    shown = "; ".join(
        re.sub(r"(SELECT|DELETE) .*?(FROM \w+).*", r"\1 \2", one)[:30] for one in mine
    )
    print(f"| {name} | {len(mine)} | {shown} |")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with (
        tempfile.TemporaryDirectory() as tmp,
        PostgreSQLServer(fsync="on") as server,
        services(Path(tmp), server) as found,
    ):
        for target in found.values():
            target.grow(1000)
        measure(found, server, clients, rounds)
        server.sql("postgres", "ALTER SYSTEM SET log_statement = 'all'")
        server.sql("postgres", "SELECT pg_reload_conf()")
        statements(found["PostgreSQL"], server)


if __name__ == "__main__":
    main()
