#!/usr/bin/env python3
"""What a second worker gains in server mode: requests per second and CPU ms, by WEB_CONCURRENCY.

    .venv/bin/python benchmarks/workers.py

The stand-in for a Qdrant server and the stub for OpenAI run in processes of their own, on the
same cores as the service and the client: what they take, the workers lack.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import ROOT, in_turn, openai_stub, ours
from benchmarks.load import median

CLIENTS, SECONDS, ROUNDS = 16, 3.0, 3
ROUTES = ["history", "get", "search", "add, infer=false", "add, infer=true"]
SERVE = """
import sys
from tests.servers.qdrant import QdrantServer
with QdrantServer() as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def qdrant() -> Iterator[str]:
    """The address of a stand-in that runs in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield next(iter(process.stdout or [])).strip()
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        services = {}
        for count in ("1", "2"):
            folder = Path(tmp) / count
            folder.mkdir()
            url = stack.enter_context(qdrant())
            settings = {"QDRANT_URL": url, "WEB_CONCURRENCY": count}
            services[count] = stack.enter_context(ours(stub, folder, **settings))
            services[count].grow(100)
        print("| route | 1 worker: per second, CPU ms | 2 workers: per second, CPU ms | gain |")
        print("|---|---|---|---|")
        for route in ROUTES:
            found = in_turn(
                {
                    name: partial(one.load, route, CLIENTS, SECONDS)
                    for name, one in services.items()
                },
                ROUNDS,
            )
            rate = {name: median([t.per_second for t in each]) for name, each in found.items()}
            cpu = {name: median([t.cpu_ms for t in each]) for name, each in found.items()}
            figures = " | ".join(f"{rate[name]:.0f}, {cpu[name]:.2f}" for name in services)
            print(f"| {route} | {figures} | {rate['2'] / rate['1']:.2f} |", flush=True)
            time.sleep(0.1)


if __name__ == "__main__":
    main()
