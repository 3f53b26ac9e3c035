"""docs/recipes.md: each call it shows is sent, each program it shows is run."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.service import ONCE, ROOT, Service

SECTIONS = dict(
    re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)",
        (ROOT / "docs/recipes.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
)
WORKFLOW = json.loads((ROOT / "docs" / "n8n.json").read_text())
NODES = {node["name"]: node for node in WORKFLOW["nodes"]}
HARD = (
    'She said: "no peanuts"\nand {left} \\o/ 花生'  # what breaks JSON that is put together as text
)
ADDRESS = "http://127.0.0.1:8000"


class Call(NamedTuple):
    """An HTTP call as the page shows it, its variables still in it."""

    path: str
    headers: dict[str, str]
    body: str


def code(section: str, language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)
    return str(found)


def calls(section: str) -> list[Call]:
    found = []
    for text in re.findall(r"```http\n(.*?)```", SECTIONS[section], re.DOTALL):
        head, body = text.split("\n\n", 1)
        request, *headers = head.splitlines()
        method, path, _ = request.split()
        assert method == "POST"
        found.append(Call(path, dict(line.split(": ", 1) for line in headers), body.strip()))
    return found


def send(service: Service, call: Call, fill: Callable[[str], str]) -> Any:
    """The answer of the call, each of its variables filled in."""
    variable = re.compile(r"\{\{(.+?)\}\}")
    headers = {k: variable.sub(lambda m: fill(m[1].strip()), v) for k, v in call.headers.items()}
    body = variable.sub(lambda m: fill(m[1].strip()), call.body)
    answer = ONCE.post(service.url + call.path, content=body.encode(), headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


def within_json(text: str) -> str:
    return json.dumps(text)[1:-1]


class TestPrograms:
    @pytest.fixture
    def shown(self) -> str:
        return "I love hiking in the mountains"

    def test_python(self, empty_service: Service, shown: str) -> None:
        program = code("Python", "python").replace(ADDRESS, empty_service.url)
        assert re.fullmatch(rf"0\.\d\d {shown}\n", run(sys.executable, "-c", program))

    @pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
    def test_javascript(self, empty_service: Service, tmp_path: Path, shown: str) -> None:
        program = tmp_path / "recipe.mjs"
        program.write_text(code("JavaScript", "js").replace(ADDRESS, empty_service.url))
        assert re.fullmatch(rf"0\.\d\d {shown}\n", run("node", str(program)))

    def test_have_ten_lines(self) -> None:
        for program in (code("Python", "python"), code("JavaScript", "js")):
            assert len([line for line in program.splitlines() if line.strip()]) <= 10


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestN8n:
    def test_its_workflow_sends_what_the_page_says(self) -> None:
        nodes = [node for node in WORKFLOW["nodes"] if node["type"].endswith(".httpRequest")]
        shown = calls("n8n")
        assert len(nodes) == len(shown) == 2
        for node, call in zip(nodes, shown, strict=True):
            assert node["parameters"]["url"] == ADDRESS + call.path
            fields = {p["name"]: p["value"] for p in parameters(node)}
            assert {name: f"={value}" for name, value in json.loads(call.body).items()} == fields

    def test_its_nodes_follow_each_other(self) -> None:
        order, name = ["Start"], "Start"
        while name in WORKFLOW["connections"]:
            [[following]] = WORKFLOW["connections"][name]["main"]
            name = following["node"]
            order.append(name)
        assert order == list(NODES) == ["Start", "Message", "Recall", "Remember"]

    @pytest.mark.parametrize("message", [None, HARD])
    def test_its_calls_remember_and_recall(
        self, service: Service, user: str, message: str | None
    ) -> None:
        values = {
            entry["name"]: entry["value"]
            for entry in NODES["Message"]["parameters"]["assignments"]["assignments"]
        }
        values |= {"user": user} | ({"message": message} if message else {})
        for name in ("Remember", "Recall"):
            answer = perform(service, NODES[name], values)
        assert [found["memory"] for found in answer["results"]] == [values["message"]]


def parameters(node: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = node["parameters"]["bodyParameters"]["parameters"]
    return found


def perform(service: Service, node: dict[str, Any], message: dict[str, str]) -> Any:
    """As n8n's HTTP Request node does: a JSON object of its body parameters."""
    asked = node["parameters"]
    expected = ("POST", True, "json", "keypair")
    assert (
        tuple(asked[key] for key in ("method", "sendBody", "contentType", "specifyBody"))
        == expected
    )
    body = {}
    for parameter in parameters(node):
        found = re.fullmatch(r"=\{\{ \$\('Message'\)\.item\.json\.(\w+) \}\}", parameter["value"])
        assert found, parameter
        body[parameter["name"]] = message[found[1]]
    answer = ONCE.post(asked["url"].replace(ADDRESS, service.url), json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_the_calls_of_dify_remember_and_recall_any_text(service: Service, user: str) -> None:
    node: dict[str, Any] = {}
    exec(code("Dify", "python"), node)  # noqa: S102  (the page's own, as Dify's Code node runs it)
    outputs = node["main"](HARD, user)
    recall, remember = calls("Dify")
    for call in (remember, recall):
        answer = send(service, call, lambda name: outputs[name.strip("#").removeprefix("code.")])
    assert [found["memory"] for found in answer["results"]] == [HARD]


class TestCoze:
    @pytest.fixture
    def locked(self, tmp_path: Path) -> Iterator[Service]:
        with Service(tmp_path / "data", ADMIN_API_KEY="k" * 32) as service:
            yield service

    def test_its_calls_remember_and_recall_with_a_key(self, locked: Service) -> None:
        values = {"query": HARD, "user_id": "alice", "key": "k" * 32}
        recall, remember = calls("Coze")
        for call in (remember, recall):
            answer = send(locked, call, lambda name: within_json(values[name]))
        assert [found["memory"] for found in answer["results"]] == [HARD]

    def test_its_table_has_the_tools_that_its_calls_show(self) -> None:
        rows = re.findall(
            r"^\| `\w+` \| `(\S+)` \| `(\w+)`, `(\w+)` \|", SECTIONS["Coze"], re.MULTILINE
        )
        shown = [(call.path, *json.loads(call.body)) for call in calls("Coze")]
        assert rows == shown
