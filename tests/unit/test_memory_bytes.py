"""How much memory there is: the machine's, or what a container may have of it."""

from pathlib import Path

import pytest

from app.config.memory import CGROUPS, memory_bytes


@pytest.mark.parametrize("name", CGROUPS)
def test_a_container_is_told_its_own_limit(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("104857600\n")
    assert memory_bytes(tmp_path) == 104857600


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", None])
def test_without_a_limit_it_is_the_machines(tmp_path: Path, text: str | None) -> None:
    if text:
        (tmp_path / CGROUPS[0]).write_text(text)
    assert memory_bytes(tmp_path) == memory_bytes(tmp_path / "none")
    assert memory_bytes(tmp_path) > 2**28
