"""What users of such services report in public, tried on this one: tests/cases/ has it all."""

import json
import os
import ssl
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.servers.base import count_tokens, text_of
from tests.servers.ollama import OllamaServer
from tests.servers.openai import as_texts
from tests.servers.passage import Passage, certificate
from tests.servers.rules import REPLY, RuleServer
from tests.service import ONCE, ROOT, Service

CASES = ROOT / "tests" / "cases"
OLLAMA_CONTEXT = 4096  # its default, where a request names none


class Try(NamedTuple):
    name: str
    settings: dict[str, str]
    what: dict[str, Any]

    @property
    def needs(self) -> str:
        """Tries that say the same may share a service."""
        apart = self.what.get("apart") or "dotenv" in self.what or "data_dir_of" in self.what
        return json.dumps([sorted(self.settings.items()), self.name if apart else ""])

    @property
    def route(self) -> tuple[str, str]:
        method, _, path = self.what.get("route", "POST /memory/add").rpartition(" ")
        return (method, path) if method else ("POST", f"/memory/{path}")


class Outcome(NamedTuple):
    answer: httpx.Response | None
    """None where the service did not start."""
    seconds: float
    log: str
    server: RuleServer

    @property
    def body(self) -> Any:
        return self.answer.json() if self.answer is not None else {}


def tries() -> list[Any]:
    """Those for which one service will do stand side by side; who needs one alone waits for
    `make soak`."""
    found = sorted(all_tries(), key=lambda one: one.needs)
    times = Counter(one.needs for one in found)
    return [
        pytest.param(one, id=one.name, marks=[pytest.mark.soak] if times[one.needs] == 1 else [])
        for one in found
    ]


def all_tries() -> Iterator[Try]:
    for path in sorted(CASES.glob("*.json")):
        case = json.loads(path.read_text())
        for number, what in enumerate(case["tries"]):
            name = f"{path.stem}-{what.get('name', number)}"
            settings = {**case["settings"], **what.get("settings", {})}
            yield Try(name, settings, what)


class World:
    """The service on some settings, with the servers that these name.

    Tries on the same settings share one, unless what is found out in one would hide another.
    """

    def __init__(self, folder: Path, one: Try) -> None:
        self._open = ExitStack()
        self.server = self._open.enter_context(RuleServer())
        self.error = ""
        (folder / "data").mkdir(parents=True)
        settings = {name: self._address(value, folder) for name, value in one.settings.items()}
        self.service = Service(folder / "data", **settings)
        self._prepare(folder, one.what)
        try:
            self._open.enter_context(self.service)
        except AssertionError:
            self.error = self.service.log.read_text(errors="replace")

    def close(self) -> None:
        self._open.close()

    def _address(self, value: str, folder: Path) -> str:
        """`value` with the places of what is running here; opened where they are named."""
        if "<ollama>" in value:
            value = value.replace("<ollama>", self._open.enter_context(ollama()).url)
        if "<tls>" in value:
            passage = Passage(self.server.port, tls=self._tls(folder))
            value = value.replace("<tls>", f"https://127.0.0.1:{passage.port}")
            self._open.enter_context(passage)
        value = value.replace("<certificate>", str(folder / "certificate.pem"))
        return value.replace("<stub>", self.server.url)

    def _tls(self, folder: Path) -> ssl.SSLContext:
        return certificate(folder)[1]

    def _prepare(self, folder: Path, what: Mapping[str, Any]) -> None:
        if dotenv := what.get("dotenv"):
            (folder / ".env").write_text(dotenv["text"], dotenv["encoding"], newline="")
        if what.get("data_dir_of") == "root":
            for place in (folder, *folder.parents[:-2]):
                place.chmod(place.stat().st_mode | 0o055)
            self.service.prefix = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"]
            # That user may not write what coverage measured, which would be a traceback.
            for name in [name for name in self.service.environ if name.startswith("COVERAGE_")]:
                del self.service.environ[name]


def ollama() -> OllamaServer:
    """One that cuts a long prompt, as the real one does: what is left of it holds no task."""
    server = OllamaServer()
    server.models = {"llama3.1:8b", "nomic-embed-text:latest"}

    def reply(body: dict[str, Any]) -> str:
        context = (body.get("options") or {}).get("num_ctx", OLLAMA_CONTEXT)
        tokens = sum(count_tokens(text_of(message)) for message in body["messages"])
        return REPLY if tokens <= context else '{"memory": []}'

    server.reply = reply
    return server


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The last one made is kept: tries on the same settings come one after another."""
    made: dict[str, World] = {}

    def world_of(one: Try) -> World:
        if one.needs not in made:
            for old in made.values():
                old.close()
            made.clear()
            made[one.needs] = World(tmp_path_factory.mktemp("case"), one)
        return made[one.needs]

    yield world_of
    for last in made.values():
        last.close()


@pytest.mark.parametrize("one", tries())
def test_a_case_from_the_field(one: Try, worlds: Any) -> None:
    if one.what.get("data_dir_of") == "root" and os.geteuid() != 0:
        pytest.skip("only root can make a folder of root's")
    world = worlds(one)
    user = f"user-{uuid.uuid4()}"
    outcome = tried(one, world, user)
    assert "Traceback" not in outcome.log
    must = one.what["must"]
    complaints = [complaint(way, outcome) for way in must.get("either", [must])]
    assert "" in complaints, complaints


def tried(one: Try, world: World, user: str) -> Outcome:
    rules = one.what.get("upstream", [])
    world.server.follow(rules if isinstance(rules, list) else [])
    if world.error:
        return Outcome(None, 0, world.error, world.server)
    method, path = one.route
    host = f"[{one.what['host']}]" if "host" in one.what else "127.0.0.1"
    sent: dict[str, Any] = {"headers": dict(one.what.get("headers", {}))}
    if "send_bytes" in one.what:
        sent["content"] = bytes.fromhex(one.what["send_bytes"])
        sent["headers"]["Content-Type"] = "application/json"
    elif method == "POST":
        sent["json"] = {"user_id": user, **expanded(one.what["send"])}
    started = time.monotonic()
    answer = httpx.request(method, f"http://{host}:{world.service.port}{path}", timeout=60, **sent)
    took = time.monotonic() - started
    return Outcome(answer, took, world.service.log.read_text(errors="replace"), world.server)


def expanded(body: dict[str, Any]) -> dict[str, Any]:
    """A text that is long is given as a short one, and how often."""
    return {
        name: value["repeat"] * value["times"] if _is_long(value) else value
        for name, value in body.items()
    }


def _is_long(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"repeat", "times"}


def complaint(must: Mapping[str, Any], outcome: Outcome) -> str:
    """What is not as it must be; nothing where all is well."""
    if "start_says_any" in must:
        said = any(words in outcome.log for words in must["start_says_any"])
        return "" if said and outcome.answer is None else f"the start says: {outcome.log}"
    if outcome.answer is None:
        return f"it did not start: {outcome.log}"
    found = seen(outcome)
    for name, check in CHECKS.items():
        if name in must and not check(must[name], found[name]):
            return f"{name} is not {must[name]}, but {found[name]}: {outcome.answer.text}"
    return ""


def seen(outcome: Outcome) -> dict[str, Any]:
    """What there is to say of each thing that a case may ask for."""
    answer, body = outcome.answer, outcome.body
    assert answer is not None
    memories = [result.get("memory") for result in body.get("results", [])]
    status = answer.status_code
    return {
        "status": status,
        "status_in": status,
        "code": body.get("code"),
        "body": body,
        "memories": memories,
        "count": len(memories),
        "created_at": [memory["created_at"] for memory in stored(outcome)],
        "says_any": answer.text,
        "within_s": outcome.seconds,
        "headers": answer.headers,
        "asked": [_target(request) for request in outcome.server.requests],
        "calls_for_many": _calls_for_many(outcome.server),
    }


def stored(outcome: Outcome) -> list[dict[str, Any]]:
    """The memories that an add made, as they are read."""
    answer, results = outcome.answer, outcome.body.get("results", [])
    assert answer is not None
    if answer.url.path != "/memory/add":
        return []
    read = answer.url.copy_with(path="/memory/get")
    found = [ONCE.post(read, json={"memory_id": result["id"]}) for result in results]
    return [memory.json() for memory in found]


def _calls_for_many(server: RuleServer) -> int:
    """How often embeddings were asked for of several texts at once."""
    return sum(len(as_texts(request.body["input"])) > 1 for request in server.asked("/embeddings"))


def _target(request: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return f"{request.path}?{query}" if query else request.path


def _equal(wanted: Any, found: Any) -> bool:
    return bool(wanted == found)


CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "status": _equal,
    "status_in": lambda wanted, found: found in wanted,
    "code": _equal,
    "body": _equal,
    "memories": _equal,
    "count": _equal,
    "created_at": lambda wanted, found: all(time.startswith(wanted) for time in found),
    "says_any": lambda wanted, found: any(words in found for words in wanted),
    "within_s": lambda wanted, found: found < wanted,
    "headers": lambda wanted, found: all(found.get(name) == wanted[name] for name in wanted),
    "asked": lambda wanted, found: wanted in found,
    "calls_for_many": lambda wanted, found: found in wanted,
}
