"""The README's first screen, run as a newcomer would."""

import json
import re
import subprocess
from typing import Any

import pytest

from app.config import Settings
from tests.service import ROOT, Service

README = (ROOT / "README.md").read_text()
CALLS = re.findall(r"^\$ (curl (?:.*\\\n)*.*)\n(.*)$", README, re.MULTILINE)

# What differs from run to run: ids and times, of which only the form can be compared.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-4)
    if isinstance(value, str):
        return TIME.sub("<time>", UUID.sub("<id>", value))
    return value


def test_its_calls_give_the_answers_it_shows(fresh_service: Service) -> None:
    assert len(CALLS) >= 2
    for command, answer in CALLS:
        command = command.replace("http://127.0.0.1:8000", fresh_service.url)
        done = subprocess.run(["bash", "-c", f"{command} -sS"], capture_output=True, check=True)
        assert comparable(json.loads(done.stdout)) == comparable(json.loads(answer))


def test_its_table_has_the_nine_routes() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", README.split("openapi.yaml")[0], re.MULTILINE)
    assert set(rows) == {
        *("add", "get_all", "get", "search", "update"),
        *("history", "delete", "delete_all", "reset"),
    }


def test_its_settings_and_defaults_are_the_real_ones() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|(?: `(.*?)`)? \|", README, re.MULTILINE)
    assert len(rows) == 6
    defaults = Settings.from_env({})
    for name, shown in rows:
        value = getattr(defaults, name.lower())
        assert not shown or str(value) == shown
