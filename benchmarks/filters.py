#!/usr/bin/env python3
"""What a condition of a filter costs on Qdrant Edge, which holds every thread meanwhile.

    .venv/bin/python benchmarks/filters.py

Prints, for memories of three sizes and the worst metadata that may be stored, the CPU time for
each memory and condition, and of a call with as much work as slices.py (of the Edge store) allows;
then of whole filters over 100,000 memories of a sentence.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app.config import prepare_environment  # noqa: E402

prepare_environment(Path(tempfile.mkdtemp()))

from app.embeddings import EmbedderInfo  # noqa: E402
from app.storage.payloads import new_payload  # noqa: E402
from app.storage.vectors.edge import EdgeStore  # noqa: E402
from app.storage.vectors.edge.slices import SLICE_WORK, weight  # noqa: E402
from app.storage.vectors.filters import compile_filters, in_scope  # noqa: E402

SCOPE = {"user_id": "u"}
SENTENCE = "I like hiking in the mountains on weekends"
SIZES: dict[str, tuple[int, str, Any]] = {  # memories, text, metadata
    "a sentence": (2000, SENTENCE, "x"),
    "1,000 characters": (2000, f"{SENTENCE}, and so on. " * 18, "x"),
    "99,000 characters": (200, "tea leaves " * 9000, "x"),
    "99,000 emoji": (100, "🏔" * 99_000, "x"),
    "7,000 objects": (100, SENTENCE, [{"a": 1}] * 7000),
    "15,000 texts": (100, SENTENCE, ["a"] * 15_000),
}
CONDITIONS: dict[str, Any] = {
    "equal": {"m": "zq"},
    "integer": {"m": 5},
    "any of 100 texts": {"m": {"in": [f"zq{n}" for n in range(100)]}},
    "at least": {"m": {"gte": 5.5}},
    "since": {"m": {"gte": "2030-01-01"}},
    "exists": {"zq": "*"},
    "contains": {"data": {"contains": "zq"}},
    "icontains": {"data": {"icontains": "zq"}},
    "icontains, metadata": {"m": {"icontains": "zq"}},
}


def filled(number: int, text: str, metadata: Any) -> EdgeStore:
    store = EdgeStore(Path(tempfile.mkdtemp()) / "qdrant")
    store.prepare(EmbedderInfo("benchmark", 4))
    for start in range(0, number, 500):
        rows = range(start, min(start + 500, number))
        points = {n: new_payload(f"{text} {n}", SCOPE, {"m": metadata}, role="user") for n in rows}
        store.put({str(uuid.uuid4()): ([1.0, 0.0, 0.0, 0.0], p) for p in points.values()})
    return store


def cpu_s(call: Callable[[], object], times: int = 3) -> float:
    """The least of `times`, and not what passes while others have the processor."""
    taken = []
    for _ in range(times):
        started = time.thread_time()
        call()
        taken.append(time.thread_time() - started)
    return min(taken)


def main() -> None:
    for size, (number, text, metadata) in SIZES.items():
        store = filled(number, text, metadata)
        print(f"\n{size}: us for each memory and condition, and ms of the longest call")
        for name, filters in CONDITIONS.items():
            where = compile_filters(filters)
            ids = [record.id for record in store.newest(in_scope(SCOPE), number)[0]]
            one = cpu_s(partial(store._trial([where]), ids)) / number
            longest = one * SLICE_WORK / weight(where)
            print(f"{name:22} {one * 1e6:8.1f} us {longest * 1e3:8.1f} ms")
        store.close()
    store = filled(100_000, SENTENCE, "x")
    print("\nall of a filter over 100,000 memories of a sentence, in slices")
    for name, filters in {
        "one plain condition": {"m": "zq"},
        "ten plain conditions": {"OR": [{"m": f"zq{n}"} for n in range(10)]},
        "one icontains": {"data": {"icontains": "zq"}},
        "one that all pass": {"m": "x"},
    }.items():
        where = in_scope(SCOPE, extra=compile_filters(filters))
        print(f"{name:22} {cpu_s(partial(store.count, where), 1):6.2f} s")


if __name__ == "__main__":
    main()
