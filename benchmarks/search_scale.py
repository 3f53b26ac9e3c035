#!/usr/bin/env python3
"""What a search costs as memories grow, over HTTP on the local embedder.

    .venv/bin/python benchmarks/search_scale.py

Starts the service as `make run` does, adds 100 memories, searches, grows to 10,000, searches
again. Prints start to first 200, resident memory, the search's p50 at both sizes as a ratio,
and the share of it that goes into embedding the query (measured alone, in this process).
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.service import Service  # noqa: E402

WHAT = ["hiking", "cycling", "painting", "chess", "coffee", "gardening", "opera", "sailing"]
WHERE = ["the mountains", "the old town", "a small cafe", "the garden", "the harbour"]
SEARCHES = 100


def sentence(number: int) -> str:
    return f"I like {WHAT[number % 8]} in {WHERE[number % 7 % 5]}, note {number}"


def question(number: int) -> str:
    return f"who likes {WHAT[number % 8]} by {number}?"


def grow(service: Service, first: int, last: int) -> None:
    for start in range(first, last, 250):
        numbers = range(start, min(start + 250, last))
        said = [{"role": "user", "content": sentence(number)} for number in numbers]
        service.ask("add", messages=said, user_id=f"user-{start // 250 % 20}")


def p50_ms(call: Callable[[int], object], times: int = SEARCHES) -> float:
    taken = []
    for number in range(times):
        started = time.perf_counter()
        call(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def resident_mb(pid: int) -> float:
    pids = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=True)
    pages = [Path(f"/proc/{child}/statm").read_text().split()[1] for child in pids.stdout.split()]
    return sum(map(int, pages)) * 4096 / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Service(Path(folder) / "data") as service:
            print(f"start to first 200: {time.perf_counter() - started:.2f} s")
            print(f"resident, idle: {resident_mb(service.process.pid):.0f} MB")

            numbers = itertools.count()  # every query is new: no cache answers it

            def search(_number: int) -> None:
                service.ask("search", query=question(next(numbers)))

            grow(service, 0, 100)
            small = p50_ms(search)
            grow(service, 100, 10_000)
            large = p50_ms(search)
            print(f"resident, 10,000 memories: {resident_mb(service.process.pid):.0f} MB")

        from app.config import Settings
        from app.providers.registry import open_embedder

        model = open_embedder(Settings.from_env())
        embedding = p50_ms(lambda number: model.embed(question(number), "search"))
        for size, took in {100: small, 10_000: large}.items():
            share = embedding / took
            print(f"search p50, {size:,} memories: {took:.1f} ms, of it embedding {share:.0%}")
        print(f"10,000 to 100: {large / small:.2f}")


if __name__ == "__main__":
    main()
