"""The report of an import."""

from collections import Counter
from typing import Any, NamedTuple

from app.observability.metrics import IMPORTED

MAX_FAILED = 1000
"""The most failed lines that a report names; further ones are only counted."""


OUTCOMES = frozenset(("imported", "unchanged", "replaced", "skipped", "failed"))


class Failed(NamedTuple):
    line: int
    code: str
    """One of the codes that openapi.yaml lists."""
    detail: str
    """The reason, without quoting the line."""


class Report:
    """Counts memories by their outcomes, and names the lines that failed."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._counts: Counter[str] = Counter()
        self._failed: list[Failed] = []
        self.lines = 0
        """How many lines were read."""
        self.whole: bool | None = None
        """Whether all lines of an export were received unchanged; None where no header was."""

    def count(self, what: str, number: int = 1) -> None:
        """`what`: one of the counters in `to_json`."""
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
