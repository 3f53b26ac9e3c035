"""When something is not well: what each route answers, how soon, and what is stored after.

The service runs on a Qdrant server and an OpenAI whose stand-ins can be told to fail.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.model.looking import pending_intents
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import ONCE, Service, wait_for

KEY = "sk-a-key-that-must-not-be-seen"
POINTS = "/collections/memories/points"
LLM_S, EMBEDDER_S, QDRANT_S = 2, 1, 1


class Deployment:
    """The service, and what it stands on."""

    def __init__(self, service: Service, openai: OpenAIServer, qdrant: QdrantServer) -> None:
        self.service = service
        self.openai = openai
        self.qdrant = qdrant

    def stored(self, user: str) -> list[str]:
        """The texts that are really in Qdrant, asked past the service."""
        with self.qdrant.lock:
            points, _ = self.qdrant.client.scroll("memories", limit=10_000)
        payloads = [point.payload or {} for point in points]
        return sorted(payload["data"] for payload in payloads if payload.get("user_id") == user)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with OpenAIServer(api_key=KEY) as openai, QdrantServer() as qdrant:
        settings = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{openai.url}/v1",
            "QDRANT_URL": qdrant.url,
            "LLM_TIMEOUT": str(LLM_S),
            "EMBEDDER_TIMEOUT": str(EMBEDDER_S),
            "QDRANT_TIMEOUT": str(QDRANT_S),
        }
        with Service(tmp_path_factory.mktemp("faults") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield Deployment(service, openai, qdrant)


@pytest.fixture
def deployment(started: Deployment) -> Iterator[Deployment]:
    yield started
    started.openai.clear_faults()
    started.openai.reply = None
    started.openai.refused = set()
    started.qdrant.clear_faults()
    for server in (started.openai, started.qdrant):
        if not server.running:
            server.start()


def facts(*texts: str) -> str:
    return json.dumps({"memory": [{"id": str(n), "text": text} for n, text in enumerate(texts)]})


# What each route is asked; MINE is a memory that was stored before the fault.
MINE = "<mine>"
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "add": ("add", {"data": "new", "infer": False}),
    "infer": ("add", {"data": "new"}),
    "search": ("search", {"query": "old"}),
    "get_all": ("get_all", {}),
    "get": ("get", {"memory_id": MINE}),
    "update text": ("update", {"memory_id": MINE, "data": "newer"}),
    "update metadata": ("update", {"memory_id": MINE, "metadata": {"a": 1}}),
    "history": ("history", {"memory_id": MINE}),
    "delete": ("delete", {"memory_id": MINE}),
    "delete_all": ("delete_all", {}),
}
EMBEDS = ["add", "infer", "search", "update text"]
OTHERS = [name for name in ROUTES if name not in EMBEDS]
STORES = [name for name in ROUTES if name != "history"]

Break = Callable[[Deployment], Any]
FAULTS: dict[str, tuple[Break, list[str], int, str, float]] = {
    # name: what is broken, for which routes, status, code, seconds until the answer
    "key refused": (lambda d: d.openai.refuse_key(), EMBEDS, 502, "provider_auth_failed", 1),
    "quota": (lambda d: d.openai.quota_exceeded(), EMBEDS, 502, "provider_quota_exceeded", 1),
    "rate limit": (lambda d: d.openai.rate_limit(17), EMBEDS, 503, "provider_rate_limited", 1),
    "model 500": (lambda d: d.openai.fault(status=500), EMBEDS, 503, "provider_unavailable", 2),
    "model drops": (lambda d: d.openai.fault(drop=True), EMBEDS, 503, "provider_unavailable", 2),
    "model down": (lambda d: d.openai.stop(), EMBEDS, 503, "provider_unavailable", 1),
    "model hangs": (
        lambda d: d.openai.fault(hang=True),
        EMBEDS,
        504,
        "provider_timeout",
        EMBEDDER_S + 1,
    ),
    "embedder nonsense": (
        lambda d: d.openai.fault("/v1/embeddings", raw=b'{"data": "nonsense"}'),
        EMBEDS,
        502,
        "provider_bad_answer",
        1,
    ),
    "embedder no JSON": (
        lambda d: d.openai.fault("/v1/embeddings", raw=b"<html>"),
        EMBEDS,
        502,
        "provider_bad_answer",
        1,
    ),
    "embedder refuses": (
        lambda d: d.openai.fault("/v1/embeddings", status=400),
        EMBEDS,
        502,
        "provider_refused",
        1,
    ),
    "LLM hangs": (
        lambda d: d.openai.fault("/v1/chat", hang=True),
        ["infer"],
        504,
        "provider_timeout",
        LLM_S + 1,
    ),
    "LLM 500": (
        lambda d: d.openai.fault("/v1/chat", status=500),
        ["infer"],
        503,
        "provider_unavailable",
        2,
    ),
    "LLM no JSON": (
        lambda d: setattr(d.openai, "reply", "I cannot do that."),
        ["infer"],
        502,
        "provider_bad_answer",
        2,
    ),
    "LLM object": (
        lambda d: setattr(d.openai, "reply", '{"memory": {"name": "Ana"}}'),
        ["infer"],
        502,
        "provider_bad_answer",
        2,
    ),
    "LLM numbers": (
        lambda d: setattr(d.openai, "reply", '{"memory": [{"text": 5}]}'),
        ["infer"],
        502,
        "provider_bad_answer",
        2,
    ),
    "LLM half a pair": (
        lambda d: setattr(d.openai, "reply", '{"memory": [{"text": "\\ud800"}]}'),
        ["infer"],
        502,
        "provider_bad_answer",
        2,
    ),
    "store down": (lambda d: d.qdrant.stop(), STORES, 503, "vector_store_unavailable", 1),
    "store 500": (
        lambda d: d.qdrant.fault(status=500),
        STORES,
        503,
        "vector_store_unavailable",
        1,
    ),
    "store hangs": (
        lambda d: d.qdrant.fault(hang=True),
        STORES,
        504,
        "vector_store_timeout",
        QDRANT_S + 1,
    ),
}
CASES = [(fault, route) for fault, (_, routes, *_rest) in FAULTS.items() for route in routes]


@pytest.mark.parametrize(("fault", "route"), CASES)
def test_a_fault_is_told_truly_and_soon_and_changes_nothing(
    deployment: Deployment, user: str, fault: str, route: str
) -> None:
    service = deployment.service
    mine = service.ask("add", data="old", user_id=user, infer=False)["result"]
    before = service.ask("get", memory_id=mine)
    break_it, _, status, code, seconds = FAULTS[fault]
    path, fields = ROUTES[route]
    body = {key: mine if value == MINE else value for key, value in fields.items()}
    if "memory_id" not in body:
        body["user_id"] = user

    if route == "search":
        body["query"] = f"old, asked by {user}"  # a text that is known needs no model

    broken = break_it(deployment)
    started = time.monotonic()
    response = service.post(path, body)
    took = time.monotonic() - started

    assert took < seconds
    if route == "search" and code.startswith("provider"):
        found = response.json()
        assert (response.status_code, found["degraded"]) == (200, True), response.text
        assert code in found["reason"]
        assert [memory["memory"] for memory in found["results"]] == ["old"]
    else:
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
    if response.status_code == 200:
        pass
    elif code == "provider_rate_limited":
        assert response.headers["Retry-After"] == "17"
    elif status == 503:
        assert int(response.headers["Retry-After"]) > 0
    assert KEY not in response.text

    del broken
    mend(deployment)
    assert deployment.stored(user) == ["old"]
    assert service.ask("get", memory_id=mine) == before
    assert len(service.ask("history", memory_id=mine)["results"]) == 1


def mend(deployment: Deployment) -> None:
    for server in (deployment.openai, deployment.qdrant):
        server.clear_faults()
        if not server.running:
            server.start()


@pytest.mark.parametrize("route", OTHERS)
def test_without_the_model_the_other_routes_work(
    deployment: Deployment, user: str, route: str
) -> None:
    mine = deployment.service.ask("add", data="old", user_id=user, infer=False)["result"]
    path, fields = ROUTES[route]
    body = {key: mine if value == MINE else value for key, value in fields.items()}
    deployment.openai.stop()
    scope = {} if "memory_id" in body else {"user_id": user}
    assert deployment.service.post(path, {**body, **scope}).status_code == 200


def test_without_the_store_history_works(deployment: Deployment, user: str) -> None:
    mine = deployment.service.ask("add", data="old", user_id=user, infer=False)["result"]
    deployment.qdrant.stop()
    assert deployment.service.ask("history", memory_id=mine)["results"]


class TestInferring:
    """The outcomes of an add with an LLM, each told apart."""

    def test_stored(self, deployment: Deployment, user: str) -> None:
        deployment.openai.reply = facts("Likes tea", "Lives in Lyon")
        response = deployment.service.post("add", {"data": "x", "user_id": user})
        assert response.status_code == 201
        ids = {memory["id"] for memory in response.json()["results"]}
        listed = deployment.service.ask("get_all", user_id=user)["results"]
        assert ids == {memory["id"] for memory in listed}
        assert deployment.stored(user) == ["Likes tea", "Lives in Lyon"]

    def test_nothing_worth_remembering(self, deployment: Deployment, user: str) -> None:
        deployment.openai.reply = facts()
        response = deployment.service.post("add", {"data": "x", "user_id": user})
        assert response.status_code == 200
        assert response.json() == {"result": None, "results": []}

    def test_an_unusable_answer_is_asked_for_once_more(
        self, deployment: Deployment, user: str
    ) -> None:
        deployment.openai.reply = ["Sorry?", facts("Likes tea")]
        assert deployment.service.post("add", {"data": "x", "user_id": user}).status_code == 201

    def test_an_answer_in_a_code_block_will_do(self, deployment: Deployment, user: str) -> None:
        deployment.openai.reply = f"```json\n{facts('Likes tea')}\n```"
        assert deployment.service.post("add", {"data": "x", "user_id": user}).status_code == 201

    def test_part_of_the_facts_refused_by_the_embedder(
        self, deployment: Deployment, user: str
    ) -> None:
        deployment.openai.reply = facts("Likes mint", "refuse me", "Lives in Nice")
        deployment.openai.refused = {"refuse me"}
        response = deployment.service.post("add", {"data": "x", "user_id": user})
        assert response.status_code == 201
        assert response.json()["failed"] == 1
        assert deployment.stored(user) == ["Likes mint", "Lives in Nice"]

    def test_all_facts_refused_is_no_success(self, deployment: Deployment, user: str) -> None:
        deployment.openai.reply = facts("a", "b")
        deployment.openai.refused = {"a", "b"}
        response = deployment.service.post("add", {"data": "x", "user_id": user})
        assert (response.status_code, response.json()["code"]) == (502, "provider_refused")

    @pytest.mark.parametrize("fault", [{"hang": True}, {"status": 500}, {"drop": True}])
    def test_an_embedder_that_fails_after_the_llm_is_not_asked_for_each_of_ten_facts(
        self, deployment: Deployment, user: str, fault: dict[str, Any]
    ) -> None:
        broken: list[Any] = []

        def reply(_body: dict[str, Any]) -> str:
            broken.append(deployment.openai.fault("/v1/embeddings", **fault))
            return facts(*(f"fact {n}" for n in range(10)))

        deployment.openai.reply = reply
        started = time.monotonic()
        response = deployment.service.post("add", {"data": "x", "user_id": user})
        assert time.monotonic() - started < EMBEDDER_S + 1
        assert response.status_code in (503, 504)
        assert deployment.stored(user) == []

    def test_messages_keep_their_language(self, deployment: Deployment, user: str) -> None:
        deployment.service.ask("add", data="我对花生过敏", user_id=user)
        asked = [r for r in deployment.openai.requests if r.path == "/v1/chat/completions"][-1]
        assert asked.body["messages"][1]["content"].endswith("每条记忆都用中文写，不要翻译。）")
        assert deployment.stored(user) == ["我对花生过敏"]


class TestAsGiven:
    def test_several_messages_are_one_call_and_one_write(
        self, deployment: Deployment, user: str
    ) -> None:
        said = [{"role": "user", "content": f"note {n}"} for n in range(5)]
        deployment.openai.requests.clear()
        deployment.qdrant.requests.clear()
        deployment.service.ask("add", messages=said, user_id=user, infer=False)
        assert deployment.openai.count("/v1/embeddings") == 1
        # /ready reads a point meanwhile.
        puts = [r for r in deployment.qdrant.requests if (r.method, r.path) == ("PUT", POINTS)]
        assert len(puts) == 1

    def test_embeddings_are_asked_for_as_base64(self, deployment: Deployment, user: str) -> None:
        deployment.service.ask("add", data="x", user_id=user, infer=False)
        asked = [r for r in deployment.openai.requests if r.path == "/v1/embeddings"][-1]
        assert asked.body["encoding_format"] == "base64"

    @pytest.mark.parametrize("text", ["tea " * 25_000, "茶" * 100_000, "🏔️" * 30_000])
    def test_a_text_longer_than_the_model_takes_is_stored_whole(
        self, deployment: Deployment, user: str, text: str
    ) -> None:
        deployment.service.ask("add", data=text, user_id=user, infer=False)
        assert deployment.stored(user) == [text]

    def test_a_write_that_timed_out_is_there_once_at_most(
        self, deployment: Deployment, user: str
    ) -> None:
        path = "/collections/memories/points"
        deployment.qdrant.fault(path, method="PUT", delay=QDRANT_S + 1, apply_first=True)
        response = deployment.service.post("add", {"data": "x", "user_id": user, "infer": False})
        assert (response.status_code, response.json()["code"]) == (504, "vector_store_timeout")
        assert deployment.stored(user) == ["x"]

    def test_a_search_asks_for_ranks_and_then_for_what_it_gives(
        self, deployment: Deployment, user: str
    ) -> None:
        added = deployment.service.ask("add", data="tea", user_id=user, infer=False)
        memory_id = added["result"]
        deployment.service.ask("search", query="milk", user_id=user)  # the zero is found out once
        # What failed in another test is settled by requests of its own.
        wait_for(lambda: pending_intents(deployment.service.data_dir / "history.db") == 0)
        deployment.qdrant.requests.clear()
        assert deployment.service.ask("search", query="tea", user_id=user)["results"]
        lists, given = deployment.qdrant.requests
        assert (lists.path, given.path) == (f"{POINTS}/query/batch", POINTS)
        asked = [search.get("with_payload") or [] for search in lists.body["searches"]]
        assert not any(keys is True or "data" in keys for keys in asked)
        assert given.body["ids"] == [memory_id]


class TestDownAndBack:
    @pytest.mark.soak
    def test_health_is_answered_while_100_requests_hang(
        self, deployment: Deployment, user: str
    ) -> None:
        deployment.openai.fault(hang=True)
        before = deployment.openai.count("/v1/embeddings")
        with ThreadPoolExecutor(100) as pool:
            asked = [{"query": f"{user} {n}", "user_id": user} for n in range(100)]
            url = f"{deployment.service.url}/memory/search"
            hanging = [pool.submit(httpx.post, url, json=ask, timeout=30) for ask in asked]
            wait_for(lambda: deployment.openai.count("/v1/embeddings") > before)
            started = time.monotonic()
            assert ONCE.get(f"{deployment.service.url}/health").status_code == 200
            assert time.monotonic() - started < 1
            answers = [call.result().json() for call in hanging]
            # Then 100 searches by words begin at once, which Qdrant may be too slow for.
            late = [a for a in answers if a.get("code") != "vector_store_timeout"]
            assert late
            assert all("provider_timeout" in answer["reason"] for answer in late)

    @pytest.mark.parametrize("which", ["openai", "qdrant"])
    def test_works_again_without_a_restart(
        self, deployment: Deployment, user: str, which: str
    ) -> None:
        server = getattr(deployment, which)
        service = deployment.service
        server.stop()
        down = service.post("search", {"query": f"x {user}", "user_id": user})
        assert down.status_code == {"openai": 200, "qdrant": 503}[which]
        assert down.json().get("degraded") is {"openai": True, "qdrant": None}[which]
        assert service.http.get("/health").status_code == 200
        names = {"openai": {"embedder", "llm"}, "qdrant": {"vector_store"}}[which]
        wait_for(lambda: failed(service.http.get("/ready")) == names)
        assert service.http.get("/ready").status_code == {"openai": 200, "qdrant": 503}[which]
        server.start()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        assert "degraded" not in service.ask("search", query="x", user_id=user)

    def test_a_server_that_comes_back_empty_is_filled_again(
        self, deployment: Deployment, user: str
    ) -> None:
        deployment.service.ask("add", data="x", user_id=user, infer=False)
        deployment.qdrant.wipe()
        gone = deployment.service.post("get_all", {"user_id": user})
        assert gone.status_code == 503  # and nobody takes it for an empty answer
        assert "is gone" in gone.json()["detail"]
        deployment.service.ask("add", data="y", user_id=user, infer=False)
        assert deployment.stored(user) == ["y"]
        assert deployment.service.ask("get_all", user_id=user)["total"] == 1


def failed(response: httpx.Response) -> set[str]:
    checks = response.json()["checks"]
    return {name for name, check in checks.items() if check["status"] != "ok"}


def test_ready_names_each_dependency_and_no_secret(deployment: Deployment) -> None:
    response = deployment.service.http.get("/ready")
    checks = {"vector_store", "history", "embedder", "llm", "maintenance", "jobs"}
    assert set(response.json()["checks"]) == checks
    assert KEY not in response.text


def test_ready_is_bounded_and_shared(deployment: Deployment) -> None:
    deployment.openai.fault(hang=True)
    wait_for(lambda: failed(deployment.service.http.get("/ready")))
    asked = deployment.openai.count("/v1/embeddings")
    started = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        url = f"{deployment.service.url}/ready"
        answers = list(pool.map(lambda _: ONCE.get(url, timeout=30), range(20)))
    assert time.monotonic() - started < 5
    assert {answer.json()["status"] for answer in answers} == {"degraded"}
    assert deployment.openai.count("/v1/embeddings") - asked <= 4


def test_no_key_and_no_text_reaches_the_log(deployment: Deployment, user: str) -> None:
    deployment.openai.refuse_key()
    deployment.service.post("add", {"data": "a very private thing", "user_id": user})
    log = deployment.service.log.read_text()
    assert "provider_auth_failed" in log
    assert KEY not in log
    assert "private" not in log
