#!/usr/bin/env python3
"""Embedding calls: of 100 searches for 10 texts, and of 64 different searches at once.

.venv/bin/python benchmarks/calls.py
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Stock, Stub, Target, openai_stub, ours, stock_mem0
from benchmarks.load import Operation, question


def searching(texts: Callable[[int], list[str]]) -> Callable[[int], Iterator[Operation]]:
    return lambda client: (
        ("search", {"query": text, "user_id": "user-1"}) for text in texts(client)
    )


def counted(stub: Stub, service: Target, texts: Callable[[int], list[str]], clients: int) -> str:
    stub.set(embed_ms=50)
    started = time.perf_counter()
    taken = service.under(searching(texts), clients, 60)
    took = time.perf_counter() - started
    return f"{stub.stats()['embedding_calls']} calls, {took:.2f} s, failed {len(taken.failed)}"


def of_mem0(stub: Stub, mem0: Stock, texts: list[str], clients: int) -> str:
    stub.set(embed_ms=50)
    started = time.perf_counter()
    mem0.ask("search_all", texts, clients)
    took = time.perf_counter() - started
    return f"{stub.stats()['embedding_calls']} calls, {took:.2f} s"


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        stub = stack.enter_context(openai_stub())
        service = stack.enter_context(ours(stub, Path(tmp)))
        mem0 = stack.enter_context(stock_mem0(stub, Path(tmp) / "mem0"))
        service.grow(100)
        mem0.grow(100)
        few = [question(number % 10) for number in range(100)]
        print("100 searches of 10 texts, one after another:")
        print("  ours:", counted(stub, service, lambda _: few, 1))
        print("  mem0:", of_mem0(stub, mem0, few, 1))
        many = [question(f"other {number}") for number in range(64)]
        print("64 different searches at once:")
        print("  ours:", counted(stub, service, lambda client: [many[client]], 64))
        print("  mem0:", of_mem0(stub, mem0, many, 64))


if __name__ == "__main__":
    main()
