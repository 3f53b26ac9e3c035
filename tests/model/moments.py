"""What clients were told until a moment, for the judge of a backup that was made at it."""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.model.calls import Clients
from tests.model.ops import Op


class TimedClients(Clients):
    """Their numbers are microseconds since 1970, each given once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counting = threading.Lock()
        self._last = 0

    def now(self) -> int:
        with self._counting:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last


def until(moment: str, ops: Iterable[Op]) -> list[Op]:
    """Those that were begun by then; of the ones that had no answer it is not known whether they
    took place."""
    at = round(datetime.fromisoformat(moment).timestamp() * 1_000_000)
    begun = [op for op in ops if op.started < at]
    return [op if op.ended < at else _unanswered(op) for op in begun]


def _unanswered(op: Op) -> Op:
    unknown = Op(op.kind, op.user, op.started)
    return replace(op, ids=[], status=None, answer=None, ended=unknown.ended)
