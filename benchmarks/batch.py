#!/usr/bin/env python3
"""What does a batch spare? CPU of 1,000 adds in one POST /batch, as a share of 1,000 single adds.

    .venv/bin/python benchmarks/batch.py [ROUNDS [CLIENTS]]

One gunicorn worker, embedded engine, OpenAI's stub at 384 dimensions, 1,000 memories of ten users
in it. Every text is new and stored as given. Single adds by one client, or CLIENTS (default 8) at
once, and a batch, in turn, ROUNDS times (default 5); what an idle service takes is left out. Then
the p99 of a get and of an add by one client while batches come one after the other, and while none
does.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Target, cpu_s, openai_stub, ours
from benchmarks.load import USERS, Operation, Taken, median, sentence

ADDS = 1000
SECONDS = 5.0
SETTLED_S = 2.5  # two rounds of maintenance


def bodies(count: int) -> list[dict[str, Any]]:
    run = uuid.uuid4().hex[:6]
    return [
        {"data": sentence(f"{run}-{number}"), "user_id": f"user-{number % USERS}", "infer": False}
        for number in range(count)
    ]


def single(number: int, clients: int) -> Iterator[Operation]:
    return (("add", body) for body in bodies(ADDS // clients))


def cpu_of(target: Target, work: Callable[[], None]) -> float:
    """In s, with what is done after the answers: intents are forgotten, the log is emptied."""
    before = cpu_s(target.service.workers())
    work()
    time.sleep(SETTLED_S)
    return cpu_s(target.service.workers()) - before


def singles(target: Target, clients: int) -> None:
    taken = target.under(partial(single, clients=clients), clients, 600)
    if taken.failed:
        sys.exit(f"adds failed: {taken.failed}")


def batch(target: Target) -> None:
    answer = target.service.http.post("/batch", json={"adds": bodies(ADDS)}).json()
    if any(one["status"] != HTTPStatus.CREATED for one in answer.get("results", [answer])):
        sys.exit(f"a batch failed: {answer}")


def beside(target: Target, scenario: str, batches: bool) -> Taken:
    """What one client sees of a route, while batches come or none does."""
    end = Event()

    def keep_on() -> None:
        while not end.is_set():
            batch(target)

    other = Thread(target=keep_on)
    if batches:
        other.start()
    taken = target.load(scenario, 1, SECONDS)
    end.set()
    if batches:
        other.join()
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        target = stack.enter_context(ours(stub, Path(tmp), FLUSH_SECONDS="1"))
        target.grow(1000)
        idle = median([cpu_of(target, lambda: None) for _ in range(3)])
        for count in (1, clients):
            alone, together = [], []
            for _ in range(rounds):
                alone.append(cpu_of(target, partial(singles, target, count)))
                together.append(cpu_of(target, partial(batch, target)))
            one, many = median(alone) - idle, median(together) - idle
            print(f"CPU of {ADDS:,} adds: {one:.2f} s by {count} clients, {many:.2f} s in a batch")
            print(f"ratio {many / one:.3f}", flush=True)
        for scenario in ("get", "add, infer=false"):
            for busy in (False, True):
                taken = beside(target, scenario, busy)
                when = "beside batches" if busy else "alone"
                print(f"{scenario} {when}: p50 {taken.ms(0.5):.1f}, p99 {taken.ms(0.99):.1f} ms")


if __name__ == "__main__":
    main()
