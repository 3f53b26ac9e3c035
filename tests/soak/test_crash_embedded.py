"""Killed with SIGKILL at any instant, on the embedded engine: see crashes.py."""

from pathlib import Path

from tests.soak.crashes import check_kills


def test_killed_at_any_instant_it_keeps_what_it_acknowledged_and_nothing_else(
    tmp_path: Path,
) -> None:
    check_kills(tmp_path, "embedded")
