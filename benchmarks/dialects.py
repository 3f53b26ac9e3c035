#!/usr/bin/env python3
"""What does a dialect cost? CPU ms of a search, by the native route and by those of mem0's clients.

    .venv/bin/python benchmarks/dialects.py [ROUNDS [CLIENTS]]

One gunicorn worker, embedded engine, OpenAI's stub at 384 dimensions, 1,000 memories of ten users.
The routes in turn, ROUNDS times (default 5), 2 s each; all ask for the same ten memories.
"""

import random
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import in_turn, openai_stub, ours
from benchmarks.load import USERS, Operation, median, question

SECONDS = 2.0
BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "search": lambda user: {"user_id": user},
    "/v3/memories/search/": lambda user: {"filters": {"user_id": user}, "threshold": 0},
    "/search": lambda user: {"filters": {"user_id": user}, "threshold": 0},
}


def operations(route: str, client: int) -> Iterator[Operation]:
    """Known queries, so that no embedder is asked: what is left is the service's own work."""
    pick = random.Random(client)
    run = uuid.uuid4().hex[:6]
    queries = [question(f"{run}-{number}") for number in range(20)]
    while True:
        body = BODIES[route](f"user-{pick.randrange(USERS)}")
        yield route, {"query": pick.choice(queries), **body}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        service = stack.enter_context(ours(stack.enter_context(openai_stub()), Path(tmp)))
        service.grow(1000)
        found = in_turn(
            {
                route: partial(service.under, partial(operations, route), clients, SECONDS)
                for route in BODIES
            },
            rounds,
        )
    cpu = {route: median([one.cpu_ms for one in each]) for route, each in found.items()}
    for route, ms in cpu.items():
        failed = [one.failed for one in found[route] if one.failed]
        print(f"{route}: {ms:.2f} ms of CPU, {ms / cpu['search']:.2f} x", failed or "")


if __name__ == "__main__":
    main()
