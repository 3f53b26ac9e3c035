"""Who may do what: keys, their scopes, and what stays closed."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.service import ADMIN_KEY, ROOT, Service

REVOKED = "0badc0de"
ALICE = {"user_id": "alice"}
Headers = dict[str, str]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys(ADMIN_KEY)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys."""
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    settings = {"ADMIN_API_KEY": ADMIN_KEY, "REVOKED_KEYS": f"ffffffff, {REVOKED}"}
    with Service(data_dir, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def headers(keys: Keys) -> dict[str, Headers]:
    """What each kind of caller sends; `own` is bound to alice."""
    later = time.time() + 3600

    def bearer(key: str) -> Headers:
        return {"Authorization": f"Bearer {key}"}

    return {
        "no key": {},
        "garbage": bearer("garbage"),
        "expired": bearer(keys.mint(Principal(new_key_id(), ALICE), time.time() - 1)),
        "revoked": bearer(keys.mint(Principal(REVOKED, ALICE), later)),
        "other user's": bearer(keys.mint(Principal(new_key_id(), {"user_id": "bob"}), later)),
        "read-only": bearer(keys.mint(Principal(new_key_id(), ALICE, read_only=True), later)),
        "own": bearer(keys.mint(Principal(new_key_id(), ALICE), later)),
        "admin": bearer(ADMIN_KEY),
    }


class Owned:
    """A service with the memories of alice and bob, and what is in it."""

    def __init__(self, service: Service, admin: Headers) -> None:
        self._service = service
        self._admin = admin
        self._ask("reset")
        self.memory_id: str = self._add("alice")
        self.gone: str = self._add("alice")
        self._ask("delete", memory_id=self.gone)
        self._add("bob")
        self.before = self.now()

    def now(self) -> Any:
        return (
            self._answer("get_all").json(),
            self._answer("history", memory_id=self.memory_id).json(),
            self._answer("history", memory_id=self.gone).json(),
        )

    def _add(self, user: str) -> str:
        added: str = self._ask("add", data=f"tea of {user}", user_id=user)["result"]
        return added

    def _ask(self, route: str, **body: Any) -> Any:
        response = self._answer(route, **body)
        assert response.is_success, response.text
        return response.json()

    def _answer(self, route: str, **body: Any) -> httpx.Response:
        return self._service.post(route, body, headers=self._admin)


@pytest.fixture(scope="module")
def untouched() -> list[Owned]:
    """What the tests before have left as it was."""
    return []


@pytest.fixture
def owned(locked: Service, headers: dict[str, Headers], untouched: list[Owned]) -> Iterator[Owned]:
    if not untouched:
        untouched.append(Owned(locked, headers["admin"]))
    [given] = untouched
    yield given
    if given.now() != given.before:
        untouched.clear()


STRANGERS = {"no key": 401, "garbage": 401, "expired": 401, "revoked": 401}
# route -> (body about alice's memory, status by caller)
MATRIX: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "add": (
        {"data": "more tea", "user_id": "alice"},
        {"other user's": 403, "read-only": 403, "own": 201, "admin": 201},
    ),
    "search": (
        {"query": "tea", "user_id": "alice"},
        {"other user's": 403, "read-only": 200, "own": 200, "admin": 200},
    ),
    "get_all": (
        {"user_id": "alice"},
        {"other user's": 403, "read-only": 200, "own": 200, "admin": 200},
    ),
    "get": (
        {"memory_id": "<hers>"},
        {"other user's": 404, "read-only": 200, "own": 200, "admin": 200},
    ),
    "update": (
        {"memory_id": "<hers>", "data": "coffee"},
        {"other user's": 404, "read-only": 403, "own": 200, "admin": 200},
    ),
    "history": (
        {"memory_id": "<hers>"},
        {"other user's": 404, "read-only": 200, "own": 200, "admin": 200},
    ),
    "delete": (
        {"memory_id": "<hers>"},
        {"other user's": 404, "read-only": 403, "own": 200, "admin": 200},
    ),
    "delete_all": (
        {"user_id": "alice"},
        {"other user's": 403, "read-only": 403, "own": 200, "admin": 200},
    ),
    "reset": ({}, {"other user's": 403, "read-only": 403, "own": 403, "admin": 200}),
}
CASES = [
    (route, caller, body, status)
    for route, (body, by_caller) in MATRIX.items()
    for caller, status in {**STRANGERS, **by_caller}.items()
]
CODES = {401: "unauthorized", 403: "forbidden", 404: "memory_not_found"}


@pytest.mark.parametrize(("route", "caller", "body", "status"), CASES)
def test_the_matrix(
    locked: Service,
    headers: dict[str, Headers],
    owned: Owned,
    route: str,
    caller: str,
    body: dict[str, Any],
    status: int,
) -> None:
    hers = {key: owned.memory_id if value == "<hers>" else value for key, value in body.items()}
    response = locked.post(route, hers, headers=headers[caller])
    assert response.status_code == status
    if status in CODES:
        assert response.json()["code"] == CODES[status]
        assert owned.now() == owned.before


@pytest.mark.parametrize(
    ("caller", "status"),
    [*STRANGERS.items(), ("read-only", 403), ("own", 200), ("admin", 200)],
)
def test_only_who_may_write_sends_a_foreign_body(
    locked: Service, headers: dict[str, Headers], owned: Owned, caller: str, status: int
) -> None:
    body = [{"memory": "more tea", "user_id": "alice"}]
    response = locked.http.post("/import/mem0", json=body, headers=headers[caller])
    assert response.status_code == status
    if status in CODES:
        assert response.json()["code"] == CODES[status]
        assert owned.now() == owned.before


def test_what_a_foreign_body_says_of_others_is_refused_item_by_item(
    locked: Service, headers: dict[str, Headers], owned: Owned
) -> None:
    body = [{"memory": "hers", "user_id": "alice"}, {"memory": "of whoever sends it"}]
    own = headers["other user's"]
    report = locked.http.post("/import/mem0", json=body, headers=own).json()
    assert (report["imported"], report["failed_total"]) == (1, 1)
    assert (report["failed"][0]["line"], report["failed"][0]["code"]) == (1, "forbidden")
    found = locked.post("get_all", {"user_id": "bob"}, headers=own).json()["results"]
    assert found[-1]["memory"] == "tea of bob"
    assert found[0]["memory"] == "of whoever sends it"


READ = {"read-only": 200, "own": 200, "admin": 200}
WRITE = {"read-only": 403, "own": 200, "admin": 200}
ANY = {"other user's": 200, "read-only": 200, "own": 200, "admin": 200}
HERS = {"filters": {"user_id": "alice"}}
SAID = {"messages": "more tea", "user_id": "alice"}
# method and path of a dialect -> (body about alice's memory, status by caller)
DIALECTS: dict[str, tuple[Any, dict[str, int]]] = {
    "GET /v1/ping/": (None, ANY),
    "POST /v3/memories/add/": (SAID, {"other user's": 403, **WRITE}),
    "POST /v1/memories/": (SAID, {"other user's": 403, **WRITE}),
    "POST /v3/memories/search/": ({"query": "tea", **HERS}, {"other user's": 403, **READ}),
    "POST /v2/memories/search/": ({"query": "tea", **HERS}, {"other user's": 403, **READ}),
    "POST /v1/memories/search/": ({"query": "tea", **HERS}, {"other user's": 403, **READ}),
    "POST /v3/memories/": (HERS, {"other user's": 403, **READ}),
    "POST /v2/memories/": (HERS, {"other user's": 403, **READ}),
    "GET /v1/memories/?user_id=alice": (None, {"other user's": 403, **READ}),
    "GET /v1/memories/<hers>/": (None, {"other user's": 404, **READ}),
    "PUT /v1/memories/<hers>/": ({"text": "coffee"}, {"other user's": 404, **WRITE}),
    "DELETE /v1/memories/<hers>/": (None, {"other user's": 404, **WRITE}),
    "GET /v1/memories/<hers>/history/": (None, {"other user's": 404, **READ}),
    "DELETE /v1/memories/?user_id=alice": (None, {"other user's": 403, **WRITE}),
    "GET /v1/entities/": (None, ANY),
    "DELETE /v1/entities/user/alice/": (None, {"other user's": 403, **WRITE}),
    "DELETE /v2/entities/user/alice/": (None, {"other user's": 403, **WRITE}),
    "PUT /v1/batch/": (
        {"memories": [{"memory_id": "<hers>", "text": "coffee"}]},
        {"other user's": 404, **WRITE},
    ),
    "DELETE /v1/batch/": ({"memories": [{"memory_id": "<hers>"}]}, {"other user's": 404, **WRITE}),
    "GET /v1/event/<hers>/": (None, dict.fromkeys(ANY, 404)),
    "GET /v1/events/": (None, ANY),
    "POST /v1/exports/": (None, dict.fromkeys(ANY, 501)),
    "GET /api/v1/orgs/": (None, dict.fromkeys(ANY, 501)),
    "POST /memories": (SAID, {"other user's": 403, **WRITE}),
    "GET /memories?user_id=alice": (None, {"other user's": 403, **READ}),
    "DELETE /memories?user_id=alice": (None, {"other user's": 403, **WRITE}),
    "GET /memories/<hers>": (None, {"other user's": 404, **READ}),
    "PUT /memories/<hers>": ({"text": "coffee"}, {"other user's": 404, **WRITE}),
    "DELETE /memories/<hers>": (None, {"other user's": 404, **WRITE}),
    "GET /memories/<hers>/history": (None, {"other user's": 404, **READ}),
    "POST /search": ({"query": "tea", **HERS}, {"other user's": 403, **READ}),
    "POST /reset": (
        None,
        {"other user's": 403, "read-only": 403, "own": 403, "admin": 200},
    ),
    "GET /entities": (None, ANY),
    "DELETE /entities/user/alice": (None, {"other user's": 403, **WRITE}),
    "POST /configure": (None, dict.fromkeys(ANY, 501)),
}


def called(service: Service, call: str, memory_id: str, headers: Headers) -> httpx.Response:
    body, _ = DIALECTS[call]
    method, path = call.replace("<hers>", memory_id).split(" ")
    content = json.dumps(body).replace("<hers>", memory_id) if body else None
    of_json = {"Content-Type": "application/json"}
    return service.http.request(method, path, content=content, headers={**headers, **of_json})


@pytest.mark.parametrize("caller", STRANGERS)
def test_strangers_get_nowhere_in_the_dialects(
    locked: Service, headers: dict[str, Headers], owned: Owned, caller: str
) -> None:
    for call in DIALECTS:
        response = called(locked, call, owned.memory_id, headers[caller])
        assert response.status_code == 401, call
        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["detail"]
    assert owned.now() == owned.before


@pytest.mark.parametrize("caller", ANY)
@pytest.mark.parametrize("call", DIALECTS)
def test_the_matrix_of_the_dialects(
    locked: Service, headers: dict[str, Headers], owned: Owned, call: str, caller: str
) -> None:
    response = called(locked, call, owned.memory_id, headers[caller])
    status = DIALECTS[call][1][caller]
    assert response.status_code == status, response.text
    if status in CODES:
        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["code"] in (CODES[status], "job_not_found")
        assert owned.now() == owned.before


BOB, NOTHING, REFUSED = ["tea of bob"], list[str](), None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"OR": [{"user_id": "alice"}, {"user_id": "bob"}]}, BOB),
        ({"OR": [{"user_id": "alice"}, {"agent_id": "x"}]}, NOTHING),
        ({"NOT": [{"user_id": "bob"}]}, NOTHING),
        ({"NOT": [{"user_id": "nobody"}]}, BOB),
        ({"NOT": [{"AND": [{"user_id": "bob"}]}]}, NOTHING),
        ({"user_id": "*"}, BOB),
        ({"user_id": {"ne": "bob"}}, NOTHING),
        ({"user_id": {"in": ["alice", "bob"]}}, BOB),
        ({"user_id": {"eq": "alice"}}, NOTHING),
        ({"OR": [{"user_id": "bob"}, {"user_id": {"ne": "bob"}}]}, BOB),
        ({"AND": [{"OR": [{"user_id": {"ne": "nobody"}}, {"run_id": "*"}]}]}, BOB),
        ({"AND": [{"user_id": "bob"}, {"user_id": "alice"}]}, NOTHING),
        ({"AND": [{"user_id": "alice"}, {"user_id": "bob"}]}, REFUSED),
        ({"user_id": "alice"}, REFUSED),
    ],
)
@pytest.mark.parametrize("path", ["/v3/memories/", "/v3/memories/search/", "/search"])
def test_a_bound_key_holds_around_whatever_filters_say(
    locked: Service,
    headers: dict[str, Headers],
    owned: Owned,
    path: str,
    filters: Any,
    found: list[str] | None,
) -> None:
    body = {"query": "tea", "filters": filters}
    response = locked.http.post(path, json=body, headers=headers["other user's"])
    if found is REFUSED:
        assert response.status_code == 403
    else:
        assert [memory["memory"] for memory in response.json()["results"]] == found


def test_a_bound_key_need_not_name_its_user_to_clients_of_mem0(
    locked: Service, headers: dict[str, Headers], owned: Owned
) -> None:
    own = headers["own"]
    for path in ("/v3/memories/", "/v3/memories/search/", "/search"):
        results = locked.http.post(path, json={"query": "tea"}, headers=own).json()["results"]
        assert [memory["id"] for memory in results] == [owned.memory_id]
    [entity] = locked.http.get("/v1/entities/", headers=own).json()["results"]
    assert entity["name"] == "alice"
    # But what a client sends whose user is empty deletes nothing.
    assert locked.http.delete("/v1/memories/", headers=own).status_code == 400
    assert locked.http.delete("/memories", headers=own).status_code == 400
    assert owned.now() == owned.before


@pytest.mark.parametrize("route", ["get", "update", "history", "delete"])
def test_anothers_memory_looks_like_one_that_never_was(
    locked: Service, headers: dict[str, Headers], owned: Owned, route: str
) -> None:
    for memory_id in (owned.memory_id, owned.gone, str(uuid.uuid4())):
        body = {"memory_id": memory_id} | ({"data": "x"} if route == "update" else {})
        response = locked.post(route, body, headers=headers["other user's"])
        problem = response.json()
        assert problem.pop("request_id")
        assert problem == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "There is no memory with this memory_id.",
            "code": "memory_not_found",
        }


def test_the_history_of_ones_own_deleted_memory_can_be_read(
    locked: Service, headers: dict[str, Headers], owned: Owned
) -> None:
    response = locked.post("history", {"memory_id": owned.gone}, headers=headers["own"])
    assert [row["event"] for row in response.json()["results"]] == ["ADD", "DELETE"]


def test_a_scoped_key_sees_its_own_without_naming_it(
    locked: Service, headers: dict[str, Headers], owned: Owned
) -> None:
    own = headers["own"]
    for route, body in [("get_all", {}), ("search", {"query": "tea"}), ("get_all", {"limit": 9})]:
        results = locked.post(route, body, headers=own).json()["results"]
        assert [memory["id"] for memory in results] == [owned.memory_id]
    added = locked.post("add", {"data": "cake", "run_id": "r"}, headers=own).json()["result"]
    memory = locked.post("get", {"memory_id": added}, headers=own).json()
    assert (memory["user_id"], memory["run_id"]) == ("alice", "r")
    assert locked.post("delete_all", {}, headers=own).json()["deleted"] == 2
    left = locked.post("get_all", {}, headers=headers["admin"]).json()["results"]
    assert [memory["user_id"] for memory in left] == ["bob"]


@pytest.mark.parametrize(
    ("caller", "users"),
    [("admin", ["alice", "bob"]), ("own", ["alice"]), ("other user's", ["bob"])],
)
def test_who_has_memories_is_counted_within_the_scope_of_the_key(
    locked: Service, headers: dict[str, Headers], owned: Owned, caller: str, users: list[str]
) -> None:
    response = locked.http.get("/scopes", headers=headers[caller])
    assert response.json()["users"] == [{"id": user, "memories": 1} for user in users]


@pytest.mark.parametrize("caller", STRANGERS)
def test_without_a_good_key_nobody_is_counted(
    locked: Service, headers: dict[str, Headers], caller: str
) -> None:
    assert locked.http.get("/scopes", headers=headers[caller]).status_code == 401


@pytest.mark.parametrize("path", ["/", "/static/main.js"])
def test_the_page_itself_needs_no_key(locked: Service, path: str) -> None:
    assert locked.http.get(path).status_code == 200


def test_idempotency_keys_belong_to_the_caller(
    locked: Service, headers: dict[str, Headers]
) -> None:
    repeat = {"Idempotency-Key": str(uuid.uuid4())}
    answers = {
        locked.post("add", {"data": "tea"}, headers={**headers[who], **repeat}).json()["result"]
        for who in ("own", "own", "other user's")
    }
    assert len(answers) == 2


def test_a_body_says_the_same_where_the_key_names_the_user(
    locked: Service, headers: dict[str, Headers]
) -> None:
    repeat = {**headers["own"], "Idempotency-Key": str(uuid.uuid4())}
    first = locked.post("add", {"data": "x"}, headers=repeat)
    again = locked.post("add", {"data": "x", "user_id": "alice"}, headers=repeat)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()


def test_no_key_and_no_user_reaches_the_log(locked: Service, headers: dict[str, Headers]) -> None:
    for given in headers.values():
        locked.post("get_all", {"user_id": "very-private-name"}, headers=given)
    log = locked.log.read_text()
    assert "POST /memory/get_all 200" in log
    secrets = [
        given["Authorization"].removeprefix("Bearer ") for given in headers.values() if given
    ]
    assert not [secret for secret in ("very-private-name", *secrets) if secret in log]


def minted(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.token", *options],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_app_token_prints_a_key_that_the_running_service_takes(locked: Service) -> None:
    done = minted("--user", "carol", "--days", "1", ADMIN_API_KEY=ADMIN_KEY)
    assert done.returncode == 0
    carol = {"X-API-Key": done.stdout.strip()}
    assert locked.post("add", {"data": "tea"}, headers=carol).status_code == 201
    assert locked.post("reset", {}, headers=carol).status_code == 403
    assert "REVOKED_KEYS=" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_a_key_of_a_user_sees_every_app_and_one_of_an_app_every_user_of_it(
    locked: Service, keys: Keys, headers: dict[str, Headers]
) -> None:
    in_app = [("alice", "shop"), ("alice", "blog"), ("bob", "shop"), ("alice", None)]
    locked.post("reset", {}, headers=headers["admin"])
    for user, app in in_app:
        body = {"data": f"tea of {user} in {app}", "user_id": user}
        locked.post("add", body | ({"app_id": app} if app else {}), headers=headers["admin"])

    def seen(scope: dict[str, str]) -> set[tuple[str, str | None]]:
        key = keys.mint(Principal(new_key_id(), scope), time.time() + 60)
        answer = locked.post("get_all", {}, headers={"X-API-Key": key}).json()
        return {(memory["user_id"], memory.get("app_id")) for memory in answer["results"]}

    assert seen(ALICE) == {(user, app) for user, app in in_app if user == "alice"}
    assert seen({"app_id": "shop"}) == {("alice", "shop"), ("bob", "shop")}
    assert seen({"app_id": "shop", **ALICE}) == {("alice", "shop")}


@pytest.mark.parametrize(("options", "in_every_app"), [([], True), (["--app", "shop"], False)])
def test_minting_says_where_a_key_is_not_bound_to_an_app(
    options: list[str], in_every_app: bool
) -> None:
    done = minted("--user", "alice", *options, ADMIN_API_KEY=ADMIN_KEY)
    assert ("in every app" in done.stderr) == in_every_app


def test_app_token_can_make_it_read_only(locked: Service) -> None:
    done = minted("--agent", "cook", "--run", "r", "--read-only", ADMIN_API_KEY=ADMIN_KEY)
    reader = {"X-API-Key": done.stdout.strip()}
    assert locked.post("get_all", {}, headers=reader).json()["total"] == 0
    assert locked.post("add", {"data": "tea"}, headers=reader).status_code == 403


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        (["--user", "a"], {}, "ADMIN_API_KEY is not set"),
        ([], {"ADMIN_API_KEY": ADMIN_KEY}, "--user"),
        (["--user", "a b"], {"ADMIN_API_KEY": ADMIN_KEY}, "white space"),
        (["--user", "*"], {"ADMIN_API_KEY": ADMIN_KEY}, "must name one"),
        (["--user", "a", "--days", "0"], {"ADMIN_API_KEY": ADMIN_KEY}, "1 to 3650"),
        (["--user", "a"], {"ADMIN_API_KEY": "short"}, "ADMIN_API_KEY"),
    ],
)
def test_app_token_says_what_is_wrong(
    options: list[str], settings: dict[str, str], said: str
) -> None:
    done = minted(*options, **settings)
    assert done.returncode != 0
    assert said in done.stderr
    assert done.stdout == ""


def test_app_token_imports_neither_mem0_nor_an_engine() -> None:
    code = "import sys, app.token; print([m for m in sys.modules if m in ('mem0', 'qdrant_edge')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("key", ["short", "x" * 31, "with a space in it 0123456789 0123456789"])
def test_a_poor_admin_key_is_no_start(tmp_path: Path, key: str) -> None:
    service = Service(tmp_path / "data", ADMIN_API_KEY=key)
    assert service.launch().wait(timeout=30) != 0
    log = service.log.read_text()
    assert "ADMIN_API_KEY: " in log
    assert key not in log


def test_make_key_prints_one_that_is_good_enough() -> None:
    done = subprocess.run(
        ["make", "-s", "key"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    settings = Settings.from_env({"ADMIN_API_KEY": done.stdout.strip()})
    assert settings.admin_api_key is not None
