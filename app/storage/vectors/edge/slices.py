"""Evaluates conditions without an index in slices, on Qdrant Edge.

For each such condition Edge reads the whole payload of each memory, which takes between 1 us and
4 ms, and it stops all threads during a call. So the memories are first listed by the indexes, and
then tested a few at a time, since their sizes are not known before.
"""

import threading
import time
from collections.abc import Callable, Iterator

from app.errors import FieldError, FilterTooExpensive, ServiceBusy
from app.storage.vectors.base import DATETIME_INDEXES, KEYWORD_INDEXES
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import PAGE, Cursor, Listed, cursor_after, sliced

SLICE_WORK = 200
"""The most conditions times memories in one call, and the most conditions in a filter. Measured by
benchmarks/filters.py: 0.4 ms with memories of up to 1,000 characters, 8 ms (55 ms with a search for
words) with texts of 99,000, 0.37 s with the worst metadata that may be stored."""

MAX_WORK = 1_000_000
"""The most conditions times memories for one filter: 2.6 s of CPU with memories of a sentence,
measured by benchmarks/filters.py. One plain condition over 100,000 memories is a tenth, and takes
0.9 s."""

MAX_S = 5.0
"""The most CPU time for one filter: large memories cost more than MAX_WORK assumes."""

WAIT_S = 10.0

Trial = Callable[[list[str]], set[str]]
"""Returns those of the given ids that pass the conditions."""

WORDS, TIME, PLAIN = 3, 2, 1
"""The cost of a condition, compared with a plain one, about. At worst a search for words costs 17
times as much (in texts of 99,000 characters), and a comparison of times 4 times."""


def weight(part: Filter) -> int:
    """The cost of `part` for each memory, in plain conditions; 0 where an index answers it."""
    match part:
        case {"has_id": _}:
            return 0
        case {"key": key, "match": {"value": str()}} if key in KEYWORD_INDEXES:
            return 0
        case {"key": key, "range": bounds} if _of_times(bounds):
            return 0 if key in DATETIME_INDEXES else TIME
        case {"match": {"text": _}}:
            return WORDS
        case {"key": _} | {"is_empty": _} | {"is_null": _}:
            return PLAIN
    return sum(weight(inner) for parts in part.values() for inner in parts)


def _of_times(bounds: dict[str, float | str]) -> bool:
    return all(isinstance(bound, str) for bound in bounds.values())


def split(where: Filter) -> tuple[Filter, list[Filter]]:
    """`where` in two parts that must both hold: one that indexes answer, and the other
    conditions."""
    plain: Filter = {}
    costly: list[Filter] = []
    for clause, parts in where.items():
        if clause == "must":
            plain["must"] = [part for part in parts if not weight(part)]
            costly += [part for part in parts if weight(part)]
        elif weight({clause: parts}):
            costly.append({clause: parts})
        else:
            plain[clause] = parts
    return plain, costly


class Slices:
    """Tests a few memories at a time; only one request at a time tests a slice."""

    def __init__(
        self,
        ordered: Callable[[Filter, int, Cursor | None], list[Listed]],
        trial: Callable[[list[Filter]], Trial],
        estimate: Callable[[Filter], int],
        seconds: float = MAX_S,
    ) -> None:
        """`ordered` lists memories, newest first; `trial` makes a Trial of conditions; `estimate`
        returns about how many memories pass a filter. `ordered` and `estimate` get only conditions
        that indexes answer. A filter may take `seconds` of CPU time."""
        self._ordered = ordered
        self._trial = trial
        self._estimate = estimate
        self._seconds = seconds
        self._one_at_a_time = threading.Lock()

    def matching(
        self, plain: Filter, costly: list[Filter], after: Cursor | None = None
    ) -> Iterator[Listed]:
        """The memories that pass both parts, newest first. Raises FilterTooExpensive and
        ServiceBusy."""
        work = sum(map(weight, costly))
        if work > SLICE_WORK or work * self._estimate(plain) > MAX_WORK:
            raise _too_expensive()
        trial, left = self._trial(costly), self._seconds
        while True:
            page = self._ordered(plain, PAGE, after)
            for part in sliced(page, SLICE_WORK // work):
                ids, took = self._tried(trial, [one.id for one in part])
                left -= took
                if left < 0:
                    raise _too_expensive()
                yield from (one for one in part if one.id in ids)
            if len(page) < PAGE:
                return
            after = cursor_after(page, after)

    def _tried(self, trial: Trial, ids: list[str]) -> tuple[set[str], float]:
        """The ids that pass, and the CPU time in seconds that the trial took."""
        if not self._one_at_a_time.acquire(timeout=WAIT_S):
            raise ServiceBusy("Too many filters are at work; try again.")
        try:
            started = time.thread_time()  # CPU time: other threads may run in between
            return trial(ids), time.thread_time() - started
        finally:
            self._one_at_a_time.release()


def _too_expensive() -> FilterTooExpensive:
    reason = f"conditions times memories of the scope must not exceed {MAX_WORK:,}"
    return FilterTooExpensive(
        "These filters would keep everybody else waiting. Narrow the scope, ask with fewer "
        "conditions, or run the service on a Qdrant server.",
        [FieldError("filters", f"{reason}, and conditions {SLICE_WORK}")],
    )
