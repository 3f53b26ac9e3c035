"""Random failures, on three Qdrant servers: see failures.py."""

from pathlib import Path

from tests.soak.failures import keep_failing
from tests.soak.rounds import ROUNDS


def test_what_was_acknowledged_between_failures_stays(tmp_path: Path) -> None:
    # Each round has three servers to start again.
    keep_failing(tmp_path, "cluster", ROUNDS // 10).conclude()
