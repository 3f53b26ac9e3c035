"""The README's first screen, run as a newcomer would."""

import json
import re
import subprocess
from typing import Any

import pytest

from app.config import Settings
from tests.service import ROOT, Service

README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
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
        return pytest.approx(value, abs=0.01)  # the embedder rounds as the processor does
    if isinstance(value, str):
        return TIME.sub("<time>", UUID.sub("<id>", value))
    return value


def test_its_calls_give_the_answers_it_shows(empty_service: Service) -> None:
    assert len(CALLS) >= 2
    for command, answer in CALLS:
        command = command.replace("http://127.0.0.1:8000", empty_service.url)
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


class TestChinese:
    """README.zh-CN.md says the same: what is code in it is code of README.md."""

    def test_its_first_screen_has_the_same_commands_and_answers(self) -> None:
        assert blocks(first_screen(CHINESE)) == blocks(first_screen(README))
        assert len(blocks(first_screen(README))) == 3

    def test_its_first_screen_names_the_same_things(self) -> None:
        ours, theirs = spans(first_screen(README)), spans(first_screen(CHINESE))
        scope = {
            "user_id",
            "agent_id",
            "app_id",
            "run_id",
        }  # it explains the word in a sentence of its own
        assert theirs - scope == ours - scope

    def test_its_tables_have_the_same_routes_fields_settings_and_defaults(self) -> None:
        assert len(rows(README)) == 15
        assert rows(CHINESE) == rows(README)

    def test_every_other_command_and_name_is_one_of_the_readme_too(self) -> None:
        known = README + (ROOT / "env").read_text()
        for block in blocks(CHINESE):
            assert block in known
        for span in spans(CHINESE):
            assert span in known

    def test_each_links_to_the_other_and_what_they_link_to_is_there(self) -> None:
        assert "(README.zh-CN.md)" in first_screen(README)
        assert "(README.md)" in first_screen(CHINESE)
        for text in (README, CHINESE):
            for target in re.findall(r"\]\((?!http)([^)#]+)", text):
                assert (ROOT / target).exists(), target


def first_screen(text: str) -> str:
    return text.split("\n## ")[0]


def blocks(text: str) -> list[str]:
    """What stands between fences."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def spans(text: str) -> set[str]:
    """Code within sentences."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`]+)`", plain))


def rows(text: str) -> list[list[str]]:
    """The code of each row of the routes and the settings."""
    lines = re.findall(r"^\| `\w+` \|.*$", first_screen(text), re.MULTILINE)
    return [re.findall(r"`([^`]+)`", line) for line in lines]
