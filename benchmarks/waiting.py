#!/usr/bin/env python3
"""While models think: adds per second, and how long a reader waits behind them.

    .venv/bin/python benchmarks/waiting.py

128 clients add with infer=true, an embedding taking 50 ms and a chat 1,000; meanwhile one client
gets a memory, again and again. The same clients on stock mem0 in process, which has no server and
so nobody to wait behind. Then more adds at once than the service takes (LLM_CONCURRENCY).
"""

import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Target, openai_stub, ours, stock_mem0
from benchmarks.load import Taken

CLIENTS = 128
SECONDS = 12.0


def with_reader(target: Target, clients: int) -> tuple[Taken, Taken]:
    """The adds, and the reads of one client meanwhile."""
    reads: list[Taken] = []

    def read() -> None:
        reads.append(target.load("get", 1, SECONDS))

    reader = threading.Thread(target=read)
    reader.start()
    adds = target.load("add, infer=true", clients, SECONDS)
    reader.join()
    return adds, reads[0]


def show(name: str, adds: Taken, reads: Taken | None = None) -> None:
    print(f"{name}: {adds.per_second:.0f} adds/s, p50 {adds.ms(0.5):.0f} ms", end="")
    print(f", refused or failed {dict(Counter(adds.failed))}" if adds.failed else "", end="")
    if reads:
        print(f"; one get meanwhile: p50 {reads.ms(0.5):.1f}, p99 {reads.ms(0.99):.1f} ms", end="")
    print(flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        service = stack.enter_context(ours(stub, Path(tmp)))
        service.grow(100)
        idle = service.load("get", 1, 3.0)
        print(f"one get, nothing else: p50 {idle.ms(0.5):.1f}, p99 {idle.ms(0.99):.1f} ms")
        stub.set(embed_ms=50, chat_ms=1000)
        show(f"ours, {CLIENTS} clients", *with_reader(service, CLIENTS))
        show("ours, 300 clients", *with_reader(service, 300))
        mem0 = stack.enter_context(stock_mem0(stub, Path(tmp) / "mem0"))
        mem0.grow(100)
        show(f"mem0 in process, {CLIENTS} threads", mem0.load("add, infer=true", CLIENTS, SECONDS))


if __name__ == "__main__":
    main()
