"""What became of the lines of an import."""

from collections import Counter
from typing import Any, NamedTuple

from app.observability.metrics import IMPORTED

MAX_FAILED = 1000
"""Lines that are named; more are counted."""


OUTCOMES = frozenset(("imported", "unchanged", "replaced", "skipped", "failed"))


class Failed(NamedTuple):
    line: int
    code: str
    """Of the set that openapi.yaml lists."""
    detail: str
    """Without any text of the line."""


class Report:
    """Counts memories by what became of them, and names the lines that failed."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._counts: Counter[str] = Counter()
        self._failed: list[Failed] = []
        self.lines = 0
        """How many were read."""
        self.whole: bool | None = None
        """Whether the last line fits those before it; None where no header promised one."""

    def count(self, what: str, number: int = 1) -> None:
        """`what`: one of the names that `to_json` gives a number."""
        self._counts[what] += number
        if what in OUTCOMES and not self._dry_run:
            IMPORTED.labels(what).inc(number)

    def fail(self, line: int, code: str, detail: str) -> None:
        self.count("failed")
        if len(self._failed) < MAX_FAILED:
            self._failed.append(Failed(line, code, detail))

    def to_json(self) -> dict[str, Any]:
        counted = (
            *("imported", "unchanged", "replaced", "skipped", "embedded"),
            *("deleted_histories", "histories_left_out"),
            *("conversations", "inferred"),
        )
        return {
            **{name: self._counts[name] for name in counted},
            "failed": [one._asdict() for one in sorted(self._failed)],
            "failed_total": self._counts["failed"],
            "lines": self.lines,
            "whole": self.whole,
            "dry_run": self._dry_run,
        }
