#!/usr/bin/env python3
"""How much of what answers a question search finds, over HTTP on the local embedder.

    .venv/bin/python benchmarks/retrieval.py PATH [--parts] [--auto] [--shuffled]
        [--mixed-with PATH] [--first N]

PATH is a JSON file, one object or a list of them, each a store of its own user: `memories`, texts
in the order in which they were said, and `questions`, each with its `query`, the indices of the
memories that answer it (`gold`), and perhaps a `category`: 5 has no answer. Where each has a
`session` the memories are added one by one, as turns of a conversation; else all at once.

Prints recall@k, the share of the gold among the first k, and MRR over the first 20, as means over
the questions; with `--parts` also for meaning alone and words alone. `--mixed-with` takes every
other memory from another file, whose memories are the same in another language. `--auto` adds how
often an answer under `"threshold": "auto"` is empty, for questions with an answer and without.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.service import Service

CUTS = (1, 5, 10, 20)
MRR_OVER = 20
NO_ANSWER = 5
AT_ONCE = 40  # memories of one add
ORDERS: dict[str, Callable[[dict[str, Any]], float]] = {
    "hybrid": lambda memory: 0.0,  # in the order that search gave
    "meaning": lambda memory: -memory["similarity"],
    "words": lambda memory: -memory["keyword"],
}

Case = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--parts", action="store_true", help="meaning and words alone, too")
    parser.add_argument("--auto", action="store_true", help="how often auto gives nothing")
    parser.add_argument("--shuffled", action="store_true", help="the memories in random order")
    parser.add_argument("--mixed-with", type=Path)
    parser.add_argument("--first", type=int, help="ask so many questions of each alone")
    given = parser.parse_args()
    cases = _read(given.path)
    if given.mixed_with:
        for case, other in zip(cases, _read(given.mixed_with), strict=True):
            case["memories"][1::2] = other["memories"][1::2]
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data") as service:
        found = [
            ranks
            for number, case in enumerate(cases)
            for ranks in _asked(service, f"user-{number}", case, given)
        ]
        if given.auto:
            for name, chosen in (("with", False), ("without", True)):
                empty = [*_empty(service, cases, without=chosen)]
                print(f"auto: {sum(empty)} of {len(empty)} {name} an answer are empty")
    for name in found[0]:
        print(f"{name:8}", _figures([ranks[name] for ranks in found]))


def _read(path: Path) -> list[Case]:
    found = json.loads(path.read_text())
    return found if isinstance(found, list) else [found]


def _asked(service: Service, user: str, case: Case, given: Any) -> list[dict[str, list[Any]]]:
    """For each question with an answer, by the name of the order: the ranks of its gold."""
    places = _remembered(service, user, case, given.shuffled)
    return [
        _ranks(service, user, question, places, given.parts)
        for question in case["questions"][: given.first]
        if question.get("category") != NO_ANSWER
    ]


def _empty(service: Service, cases: Sequence[Case], *, without: bool) -> Iterator[bool]:
    """For each question with an answer, or without, whether `auto` gives nothing."""
    for number, case in enumerate(cases):
        for question in case["questions"]:
            if (question.get("category") == NO_ANSWER) is without:
                asked = {"query": question["query"], "user_id": f"user-{number}"}
                yield not service.ask("search", **asked, threshold="auto")["results"]


def _remembered(service: Service, user: str, case: Case, shuffled: bool) -> dict[str, int]:
    """Add the memories; the index of each by its id."""
    order = [*range(len(case["memories"]))]
    if shuffled:
        random.Random(1).shuffle(order)
    size = 1 if "session" in case else AT_ONCE
    places = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        said = [{"role": "user", "content": case["memories"][place]} for place in part]
        stored = service.ask("add", messages=said, user_id=user, infer=False)["results"]
        places |= {memory["id"]: place for memory, place in zip(stored, part, strict=True)}
    return places


def _ranks(
    service: Service, user: str, question: dict[str, Any], places: dict[str, int], parts: bool
) -> dict[str, list[Any]]:
    asked = {"query": question["query"], "user_id": user, "explain": True}
    found = service.ask("search", **asked, limit=max(CUTS))["results"]
    all_ = service.ask("search", **asked, limit=min(1000, len(places)))["results"] if parts else []
    ranks = {}
    for name, key in ORDERS.items() if parts else [("hybrid", ORDERS["hybrid"])]:
        memories = found if name == "hybrid" else sorted(all_, key=key)
        order = [places[memory["id"]] for memory in memories]
        ranks[name] = [order.index(gold) if gold in order else None for gold in question["gold"]]
    return ranks


def _figures(ranks: Sequence[Sequence[int | None]]) -> str:
    parts = []
    for cut in CUTS:
        shares = [sum(r is not None and r < cut for r in gold) / len(gold) for gold in ranks]
        parts.append(f"R@{cut} {sum(shares) / len(shares):.3f}")
    firsts = [min((r for r in gold if r is not None), default=MRR_OVER) for gold in ranks]
    parts.append(f"MRR {sum(1 / (1 + r) for r in firsts if r < MRR_OVER) / len(firsts):.3f}")
    return "  ".join([*parts, f"of {len(ranks)} questions"])


if __name__ == "__main__":
    main()
