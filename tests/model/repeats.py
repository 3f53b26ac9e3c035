"""Requests that are sent again with their idempotency key: told the same, as long as it is kept."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.model.ops import Op


class Repeat(NamedTuple):
    """Of an add that was answered, or accepted as a job."""

    first: Op
    status: int
    answer: Any


class Repeats:
    """Judges them; knows whose answers may have been erased since."""

    def __init__(self) -> None:
        self._erased: dict[str, float] = {}
        """By user, the end of the last deletion that takes answers."""

    def told_otherwise(self, ops: Iterable[Op], repeats: Iterable[Repeat]) -> Iterator[str]:
        for op in ops:
            if op.kind in ("purge", "reset") and (op.done or op.unknown):
                self._note(op)
        for repeat in repeats:
            if not self._is_right(repeat):
                yield f"{repeat.first} again: {repeat.status} {repeat.answer}"

    def _note(self, op: Op) -> None:
        whose = "" if op.kind == "reset" else op.user
        self._erased[whose] = max(self._erased.get(whose, 0), op.ended)

    def _is_right(self, repeat: Repeat) -> bool:
        first, status, answer = repeat
        match status:
            case 503 | 504:
                return True
            case 401:
                return first.by is not None and first.by.revoking < math.inf
            case 410:
                ends = (self._erased.get(whose, 0) for whose in ("", first.user))
                return any(end > first.started for end in ends)
            case 200 | 201 | 202 if first.job:
                return bool(answer["job"] == first.job)
            case 200 | 201:
                return bool(answer == first.answer)
        return False
