"""Conditions that no index answers, asked of Qdrant Edge in slices.

For each such condition Edge reads each memory's whole payload, which takes between 1 us and 4 ms,
and it holds every thread from the beginning of a call to its end. So the memories are listed by
the indexes first, and few of them at a time are tried: how large they are nobody knows before.
"""

import threading
import time
from collections.abc import Callable, Iterator

from app.errors import FieldError, FilterTooExpensive, ServiceBusy
from app.storage.vectors.base import DATETIME_INDEXES, KEYWORD_INDEXES
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import PAGE, Cursor, Listed, cursor_after, sliced

SLICE_WORK = 200
"""Conditions times memories of one call, and the most conditions of a filter. Measured by
benchmarks/filters.py: 0.4 ms with memories of up to 1,000 characters, 8 ms (looking for words:
55 ms) with texts of 99,000, 0.37 s with the worst metadata that may be stored."""

MAX_WORK = 1_000_000
"""Conditions times memories of one filter: 2.6 s of CPU with memories of a sentence, measured by
benchmarks/filters.py. One plain condition over 100,000 memories is a tenth of it, and 0.9 s."""

MAX_S = 5.0
"""CPU time that a filter may take: large memories cost more than MAX_WORK foresees."""

WAIT_S = 10.0

Trial = Callable[[list[str]], set[str]]
"""Which of some memories pass."""

WORDS, TIME, PLAIN = 3, 2, 1
"""What a condition costs beside a plain one, about: at worst 17 times with looking for words in
texts of 99,000 characters, where a plain one is cheap, and 4 times with comparing times."""


def weight(part: Filter) -> int:
    """What `part` costs for each memory, in plain conditions; 0 where the indexes answer it."""
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
    """`where` as what the indexes answer and what they do not; both must hold."""
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
    """Asks for few memories at a time, and for one slice at a time of all requests."""

    def __init__(
        self,
        ordered: Callable[[Filter, int, Cursor | None], list[Listed]],
        trial: Callable[[list[Filter]], Trial],
        estimate: Callable[[Filter], int],
        seconds: float = MAX_S,
    ) -> None:
        """The engine: its listing newest first, what makes a Trial of conditions, and about how
        many memories pass a filter; `ordered` and `estimate` are asked what the indexes answer.
        A filter may take `seconds` of CPU time."""
        self._ordered = ordered
        self._trial = trial
        self._estimate = estimate
        self._seconds = seconds
        self._one_at_a_time = threading.Lock()

    def matching(
        self, plain: Filter, costly: list[Filter], after: Cursor | None = None
    ) -> Iterator[Listed]:
        """The memories that pass both, newest first. Raises FilterTooExpensive, ServiceBusy."""
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
        """Those that pass, and the CPU time in s that it took."""
        if not self._one_at_a_time.acquire(timeout=WAIT_S):
            raise ServiceBusy("Too many filters are at work; try again.")
        try:
            started = time.thread_time()  # not what passes while others have the processor
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
