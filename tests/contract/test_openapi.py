"""openapi.yaml and the running service say the same."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema_rs import Draft202012Validator

from app import create_app
from app.api.http.problems import STATUS
from app.api.openapi_30 import to_30
from app.config import Settings
from app.memory import fields
from app.memory import requests as schemas
from app.memory.messages import ROLES, Message
from app.memory.transfer.models import ConversationLine, MemoryLine
from app.memory.transfer.requests import ExportRequest
from app.storage.payloads import RESERVED_KEYS
from tests.openapi import CONTRACT
from tests.service import ROOT, Service

SCHEMAS = CONTRACT["components"]["schemas"]
MODELS = {
    "AddRequest": schemas.AddRequest,
    "BatchRequest": schemas.BatchRequest,
    "GetAllRequest": schemas.GetAllRequest,
    "SearchRequest": schemas.SearchRequest,
    "GetRequest": schemas.GetRequest,
    "UpdateRequest": schemas.UpdateRequest,
    "HistoryRequest": schemas.HistoryRequest,
    "DeleteRequest": schemas.DeleteRequest,
    "DeleteAllRequest": schemas.DeleteAllRequest,
    "ExportRequest": ExportRequest,
    "MemoryLine": MemoryLine,
    "ConversationLine": ConversationLine,
}


def test_the_service_does_as_it_says(empty_service: Service) -> None:
    """Examples and few random requests; tests/soak/test_contract.py has the edges of each field."""
    check_contract(empty_service, 5, seed=1, phases="examples,fuzzing")


def check_contract(
    empty_service: Service,
    examples: int,
    seed: int | None = None,
    phases: str = "examples,coverage,fuzzing,stateful",
) -> None:
    """schemathesis finds no failure in as many random requests of each operation, and in `phases`
    all of: examples, edges of every field, random and stateful.

    On a service of its own, since what it makes up includes resets. With a `seed` it sends the
    same each time, so that a failure is the change's; without one it looks for what is not known.
    """
    here = Path(__file__).parent
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", here / "schemathesis.toml"),
        *("run", ROOT / "openapi.yaml", "--url", empty_service.url),
        *(["--seed", str(seed)] if seed else []),
        *(
            "--phases",
            phases,
            "--max-examples",
            str(examples),
            "--no-color",
            "--request-timeout",
            "20",
        ),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    # Without what measures coverage: none of the service runs in there, and it takes its time.
    environ = {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        env={**environ, **hooks},
        cwd=empty_service.data_dir.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    operations = sum(len(item) for item in CONTRACT["paths"].values())
    assert f"{operations} selected / {operations} total" in done.stdout


def test_answers_about_a_memory_are_as_it_says(empty_service: Service) -> None:
    """What is made up above seldom finds one."""

    def ask(route: str, **fields: Any) -> Any:
        response = empty_service.post(route, fields)
        declared = CONTRACT["paths"][f"/memory/{route}"]["post"]["responses"]
        schema = declared[str(response.status_code)]["content"]["application/json"]["schema"]
        answer = response.json()
        Draft202012Validator(schema | {"components": CONTRACT["components"]}).validate(answer)
        return answer

    said = {"role": "user", "content": "Likes tea", "name": "Alice"}
    more = {"metadata": {"n": 1}, "expiration_date": "2999-01-01"}
    memory_id = ask("add", messages=[said], user_id="a", agent_id="b", run_id="c", **more)["result"]
    assert ask("get", memory_id=memory_id)["memory"] == "Likes tea"
    assert ask("get_all", limit=1)["total"] == 1
    assert len(ask("search", query="tea", explain=True)["results"]) == 1
    assert ask("update", memory_id=memory_id, data="Likes milk")["result"]
    assert len(ask("history", memory_id=memory_id)["results"]) == 2
    assert ask("delete", memory_id=memory_id)
    ask("add", data="Likes tea", user_id="a")
    assert ask("delete_all", user_id="a", purge=True)["deleted"] == 1
    ask("add", data="Likes tea", user_id="a")
    assert ask("reset")["deleted"] == 1


def test_lists_the_same_paths(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), memory=object())  # type: ignore[arg-type]
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    listed = {(path, method) for path, item in CONTRACT["paths"].items() for method in item}
    assert served == listed
    assert len([path for path, _ in listed if path.startswith("/memory/")]) == 9


@pytest.mark.parametrize("name", MODELS)
def test_lists_the_same_fields(name: str) -> None:
    model = MODELS[name]
    taken = set(model.model_fields) | ({"top_k"} if name == "SearchRequest" else set())
    assert taken == set(SCHEMAS[name]["properties"])
    assert SCHEMAS[name]["additionalProperties"] is False
    required = {field for field, info in model.model_fields.items() if info.is_required()}
    assert required == set(SCHEMAS[name].get("required", []))


def test_lists_the_same_fields_and_roles_of_messages() -> None:
    kinds = [SCHEMAS[name] for name in ("UserMessage", "OtherMessage", "ToolMessage")]
    assert {field for kind in kinds for field in kind["properties"]} == set(Message.model_fields)
    roles = [kind["properties"]["role"] for kind in kinds]
    taken = ROLES
    assert {*ROLES.values()} == {*get_args(Message.model_fields["role"].annotation)}
    assert {role for given in roles for role in given.get("enum", [given.get("const")])} == {*taken}


def test_gives_the_same_bounds() -> None:
    messages = SCHEMAS["AddRequest"]["properties"]["messages"]["anyOf"][0]
    assert SCHEMAS["Text"]["maxLength"] == fields.MAX_TEXT
    assert SCHEMAS["ScopeId"]["maxLength"] == fields.MAX_ID
    assert messages["maxItems"] == schemas.MAX_MESSAGES
    assert SCHEMAS["BatchRequest"]["properties"]["adds"]["maxItems"] == schemas.MAX_ADDS
    assert SCHEMAS["Text"]["pattern"] == f"[^{fields.UNSEEN}]"
    assert SCHEMAS["ScopeId"]["pattern"] == f"^[^{fields.UNSEEN}]+$"
    assert set(SCHEMAS["Metadata"]["propertyNames"]["not"]["enum"]) == RESERVED_KEYS


def test_lists_the_same_codes() -> None:
    assert set(SCHEMAS["Problem"]["properties"]["code"]["enum"]) == set(STATUS)


def test_is_served(service: Service) -> None:
    response = service.http.get("/openapi.yaml")
    assert response.headers["Content-Type"].startswith("application/yaml")
    assert response.content == (ROOT / "openapi.yaml").read_bytes()


def test_is_served_as_json(service: Service) -> None:
    response = service.http.get("/openapi.json")
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json() == CONTRACT


def test_is_served_as_openapi_3_0_with_the_address_it_was_asked_by(service: Service) -> None:
    given = service.http.get("/openapi-3.0.json").json()
    assert given.pop("servers") == [{"url": service.url}]
    assert given == {key: value for key, value in to_30(CONTRACT).items() if key != "servers"}
