"""Random failures, on the embedded engine: see failures.py."""

from pathlib import Path

from tests.soak.failures import keep_failing
from tests.soak.rounds import ROUNDS


def test_what_was_acknowledged_between_failures_stays(tmp_path: Path) -> None:
    keep_failing(tmp_path, "embedded", ROUNDS).conclude()
