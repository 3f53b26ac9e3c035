"""What the service counts of itself, as Prometheus reads it."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.config import VERSION
from app.errors import VectorStoreUnavailable
from app.observability.scrape import Memories
from app.security.scopes import SCOPE_KEYS
from app.storage.vectors.base import ENGINE_CALLS
from tests.metrics import names, scrape, value
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import ONCE, Service, wait_for

REQUESTS = "http_request_duration_seconds_count"
MODEL_CALLS = "model_call_duration_seconds_count"
STORE_CALLS = "store_call_duration_seconds_count"


@pytest.fixture(scope="module")
def its_qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


@pytest.fixture(scope="module")
def on_server(
    tmp_path_factory: pytest.TempPathFactory, its_qdrant: QdrantServer
) -> Iterator[Service]:
    settings = {"QDRANT_URL": its_qdrant.url, "QDRANT_TIMEOUT": "1", "FLUSH_SECONDS": "0.2"}
    with Service(tmp_path_factory.mktemp("server") / "data", **settings) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        yield service


@pytest.fixture
def qdrant(its_qdrant: QdrantServer) -> Iterator[QdrantServer]:
    yield its_qdrant
    its_qdrant.clear_faults()


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where something else keeps its numbers."""
    return tmp_path_factory.mktemp("strange")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, strange: Path) -> Iterator[Service]:
    """One for all tests here, each of which looks at what it adds itself."""
    folder = tmp_path_factory.mktemp("embedded")
    with Service(folder / "data", PROMETHEUS_MULTIPROC_DIR=str(strange)) as service:
        yield service


class Deployment(NamedTuple):
    service: Service
    openai: OpenAIServer


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("openai")
    with OpenAIServer(dimensions=64) as openai:
        address = {"OPENAI_API_KEY": "sk-a-secret", "OPENAI_BASE_URL": f"{openai.url}/v1"}
        with Service(folder / "data", **address) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield Deployment(service, openai)


@pytest.fixture
def deployed(started: Deployment) -> Iterator[Deployment]:
    yield started
    started.openai.clear_faults()
    started.openai.reply = None


class Rise:
    """How much a value has risen since this was made."""

    def __init__(self, service: Service, name: str, **labels: str) -> None:
        self._service = service
        self._name = name
        self._labels = labels
        self._before = self._now()

    def __call__(self) -> float:
        return self._now() - self._before

    def _now(self) -> float:
        return value(self._service, self._name, **self._labels)


class TestRequests:
    def test_are_counted_by_route_method_and_status(self, embedded: Service) -> None:
        of_route = {"method": "POST", "route": "/memory/get_all", "status": "200"}
        well = Rise(embedded, REQUESTS, **of_route)
        slowest = Rise(embedded, "http_request_duration_seconds_bucket", **of_route, le="+Inf")
        refused = Rise(embedded, REQUESTS, route="/memory/get", status="400")
        for _ in range(3):
            embedded.ask("get_all", user_id="a", limit=1)
        embedded.post("get", {"memory_id": "no-uuid"})
        assert (well(), slowest(), refused()) == (3, 3, 1)

    def test_no_path_method_or_user_becomes_a_label(self, embedded: Service) -> None:
        unmatched = Rise(embedded, REQUESTS, route="unmatched", status="404")
        strange = Rise(embedded, REQUESTS, route="unmatched", method="other")
        for number in range(5):
            embedded.http.get(f"/secret-{number}")
            embedded.http.request(f"SECRET{number}", "/health")
            embedded.ask("add", data=f"secret-{number}", user_id=f"secret-{number}")
            embedded.http.get(f"/docs/secret-{number}")
        assert "secret" not in scrape(embedded).lower()
        assert (unmatched(), strange()) == (5, 5)

    def test_none_stays_in_flight_after_any_kind_of_answer(self, embedded: Service) -> None:
        streamed = Rise(embedded, REQUESTS, route="/memory/get_all")
        file = Rise(embedded, REQUESTS, route="/openapi.yaml")
        embedded.ask("add", data="x", user_id="a")
        embedded.ask("get_all")
        embedded.http.get("/openapi.yaml")
        embedded.http.get("/nowhere")
        embedded.http.head("/docs")
        wait_for(lambda: value(embedded, "http_requests_in_flight") == 1)  # the scrape's own
        assert (streamed(), file()) == (1, 1)

    def test_one_that_waits_for_a_model_is_in_flight(self, deployed: Deployment, user: str) -> None:
        service, openai = deployed
        with ThreadPoolExecutor(1) as pool:
            hanging = openai.fault("/v1/embeddings", hang=True)
            asked = pool.submit(service.post, "search", {"query": user, "user_id": "a"})
            wait_for(lambda: value(service, "http_requests_in_flight") == 2)
            hanging.clear()
            asked.result()
        wait_for(lambda: value(service, "http_requests_in_flight") == 1)


class TestModels:
    @pytest.mark.parametrize(
        ("kind", "model", "path"),
        [
            ("embedder", "text-embedding-3-small", "/v1/embeddings"),
            ("llm", "gpt-5-mini", "/v1/chat/completions"),
        ],
    )
    def test_calls_and_tokens_are_what_openai_says(
        self, deployed: Deployment, kind: str, model: str, path: str
    ) -> None:
        service, openai = deployed
        labels = {"kind": kind, "provider": "openai", "model": model}
        calls = Rise(service, MODEL_CALLS, **labels)
        taken = Rise(service, "model_tokens_total", **labels, direction="input")
        given = Rise(service, "model_tokens_total", **labels, direction="output")
        openai.requests.clear()
        service.ask("add", data="I love hiking", user_id=f"of-{kind}")
        usages = [answered(r)["usage"] for r in openai.requests if r.path == path]
        assert calls() == len(usages) > 0
        assert taken() == sum(usage["prompt_tokens"] for usage in usages) > 0
        assert given() == sum(usage.get("completion_tokens", 0) for usage in usages)

    def test_failures_have_their_code_and_retries_are_counted(
        self, deployed: Deployment, user: str
    ) -> None:
        service, openai = deployed
        failed = Rise(service, "model_failures_total", kind="embedder", code="provider_unavailable")
        retried = Rise(service, "model_retries_total", kind="embedder")
        openai.fault("/v1/embeddings", status=500)
        service.post("search", {"query": user, "user_id": "a"})
        assert (failed(), retried()) == (2, 1)

    def test_an_answer_that_cannot_be_used_is_a_failure(self, deployed: Deployment) -> None:
        service, openai = deployed
        failed = Rise(service, "model_failures_total", kind="llm", code="provider_bad_answer")
        retried = Rise(service, "model_retries_total", kind="llm")
        openai.reply = "no JSON at all"
        assert service.post("add", {"data": "x", "user_id": "a"}).status_code == 502
        assert (failed(), retried()) == (2, 1)

    def test_a_usage_that_is_no_number_breaks_nothing(
        self, deployed: Deployment, user: str
    ) -> None:
        service, openai = deployed
        tokens = Rise(service, "model_tokens_total", kind="embedder")
        vectors = {"object": "embedding", "index": 0, "embedding": [1.0] * 64}
        used = {"prompt_tokens": -3, "total_tokens": None}
        body = {"object": "list", "data": [vectors], "model": "m", "usage": used}
        openai.fault("/v1/embeddings", status=200, body=body)
        service.ask("search", query=user, user_id="a")
        assert tokens() == 0

    def test_ollama_counts_too(self, tmp_path: Path) -> None:
        with (
            OllamaServer() as ollama,
            Service(tmp_path / "data", OLLAMA_BASE_URL=ollama.url, LLM_MODEL="llama3.2") as service,
        ):
            service.ask("add", data="I love hiking", user_id="a")
            chats = [answered(r) for r in ollama.requests if r.path == "/api/chat"]
            of_llm = {"kind": "llm", "provider": "ollama", "model": "llama3.2"}
            assert value(service, MODEL_CALLS, **of_llm) == len(chats) == 1
            taken = value(service, "model_tokens_total", **of_llm, direction="input")
            given = value(service, "model_tokens_total", **of_llm, direction="output")
            assert (taken, given) == (chats[0]["prompt_eval_count"], chats[0]["eval_count"])
            assert value(service, "model_tokens_total", kind="embedder", provider="ollama") > 0

    def test_the_local_embedder_counts_too(self, embedded: Service, user: str) -> None:
        labels = {"kind": "embedder", "provider": "local", "model": "multilingual-e5-small"}
        calls = Rise(embedded, MODEL_CALLS, **labels)
        embedded.ask("search", query=user, user_id="a")
        assert calls() == 1


def answered(request: object) -> dict[str, Any]:
    answer: dict[str, Any] = yaml.safe_load(request.answer)  # type: ignore[attr-defined]
    return answer


class TestStore:
    def test_calls_are_counted_by_operation(self, embedded: Service) -> None:
        operations = ("upsert", "query", "retrieve", "delete")
        calls = [Rise(embedded, STORE_CALLS, engine="edge", operation=name) for name in operations]
        memory_id = embedded.ask("add", data="x", user_id="a")["result"]
        embedded.ask("search", query="x", user_id="a")
        embedded.ask("delete", memory_id=memory_id)
        assert all(rise() >= 1 for rise in calls)

    def test_every_call_of_an_engine_is_counted(self, embedded: Service) -> None:
        """Under the names that dashboards know."""
        embedded.ask("add", data="x", user_id="b")
        embedded.ask("update", memory_id=embedded.ask("get_all")["results"][0]["id"], metadata={})
        embedded.http.get("/scopes")
        embedded.ask("get_all", limit=1)
        embedded.ask("reset")
        embedded.ask("search", query="x")
        names = {
            *("upsert", "overwrite_payload", "retrieve", "query", "newest"),
            *("delete", "count", "facet", "clear", "flush"),
        }
        assert names == {*ENGINE_CALLS.values()}

        def counted() -> set[str]:
            of_edge = {name: {"engine": "edge", "operation": name} for name in names}
            return {name for name, its in of_edge.items() if value(embedded, STORE_CALLS, **its)}

        wait_for(lambda: counted() == names, 20)  # a flush comes every 5 s
        asked = Rise(embedded, STORE_CALLS, engine="edge", operation="facet")
        embedded.http.get("/scopes")
        assert asked() == len(SCOPE_KEYS)

    def test_a_filter_that_is_refused_is_no_failure_of_the_store(self, embedded: Service) -> None:
        filters = {"a": {"in": [*range(100)]}, "b": 1}
        response = embedded.post("get_all", {"filters": filters})
        assert response.json()["code"] == "filter_too_expensive"
        assert "filter_too_expensive" not in embedded.http.get("/metrics").text

    def test_a_server_that_fails_is_counted_by_code(
        self, on_server: Service, qdrant: QdrantServer
    ) -> None:
        what = {"engine": "server", "operation": "newest", "code": "vector_store_unavailable"}
        failed = Rise(on_server, "store_failures_total", **what)
        qdrant.fault("/", status=500)
        on_server.post("get_all", {"user_id": "a"})
        assert failed() == 1

    def test_a_scrape_waits_a_second_at_most_for_a_store_that_hangs(self, tmp_path: Path) -> None:
        with (
            QdrantServer() as qdrant,
            Service(tmp_path / "data", QDRANT_URL=qdrant.url, QDRANT_TIMEOUT="60") as service,
        ):
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            qdrant.fault("/", hang=True)
            text = service.http.get("/metrics", timeout=5).text
            qdrant.clear_faults()
        assert "memory_service_build_info" in text
        assert not re.search(r"^memory_service_memories", text, re.MULTILINE)


class TestMemories:
    def test_are_counted_at_a_scrape(self, embedded: Service) -> None:
        embedded.ask("reset")
        for number in range(3):
            embedded.ask("add", data=f"note {number}", user_id="a")
        wait_for(lambda: value(embedded, "memories") == 3)  # it is not counted at every one

    def test_the_store_is_asked_once_by_many_who_scrape(self) -> None:
        asked: list[int] = []
        memories = Memories(lambda: asked.append(1) or 7)  # type: ignore[func-returns-value]
        assert [shown(memories) for _ in range(5)] == [[7]] * 5
        assert len(asked) == 1

    def test_there_is_no_number_while_the_store_fails_and_one_when_it_is_back(self) -> None:
        down = threading.Event()

        def count() -> int:
            if down.is_set():
                raise VectorStoreUnavailable("")
            return 7

        memories = Memories(count)
        memories.FRESH_S = 0
        assert shown(memories) == [7]
        down.set()
        assert shown(memories) == []
        down.clear()
        assert shown(memories) == [7]


def shown(memories: Memories) -> list[float]:
    return [sample.value for family in memories.collect() for sample in family.samples]


def test_writes_that_were_cut_off_are_counted_by_how_they_ended(
    on_server: Service, qdrant: QdrantServer
) -> None:
    settled = "journal_entries_settled_total"
    on_server.ask("add", data="the first", user_id="a")
    assert value(on_server, settled) == 0
    late = qdrant.fault("/collections/memories/points", method="PUT", delay=2, apply_first=True)
    assert on_server.post("add", {"data": "done", "user_id": "a"}).status_code == 504
    late.clear()
    wait_for(lambda: value(on_server, settled, outcome="finished") == 1)
    lost = qdrant.fault("/collections/memories/points", method="PUT", status=500)
    assert on_server.post("add", {"data": "not done", "user_id": "a"}).status_code == 503
    lost.clear()
    wait_for(lambda: value(on_server, settled, outcome="undone") == 1)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with (
        QdrantServer() as server,
        two_workers(tmp_path_factory.mktemp("several") / "data", server) as service,
    ):
        yield service


@contextmanager
def two_workers(data_dir: Path, server: QdrantServer) -> Iterator[Service]:
    """Of which any may be the next that is asked."""
    with Service(data_dir, QDRANT_URL=server.url, WEB_CONCURRENCY="2") as service:
        wait_for(lambda: len(service.workers()) == 2)
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        service.http.headers["Connection"] = "close"
        yield service


def test_several_workers_give_the_sum_whichever_is_asked(several: Service) -> None:
    """What is left of killed ones: tests/soak/test_processes.py."""
    answered = Rise(several, REQUESTS, route="/memory/get_all", status="200")
    ask_from_many(several, 60)
    assert {answered() for _ in range(12)} == {60}
    assert value(several, "memories") == 0
    assert value(several, "build_info", version=VERSION) == 1


def ask_from_many(service: Service, times: int) -> None:
    """Each time on a connection of its own, side by side, so that every worker has its part."""

    def ask(_number: int) -> None:
        body = {"user_id": "a"}
        ONCE.post(f"{service.url}/memory/get_all", json=body, timeout=30).raise_for_status()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(times)))


def test_one_worker_minds_no_variable_that_is_left_from_elsewhere(
    embedded: Service, strange: Path
) -> None:
    added = Rise(embedded, REQUESTS, route="/memory/add", status="201")
    embedded.ask("add", data="x", user_id="a")
    assert added() == 1
    assert not list(strange.iterdir())


def test_is_in_the_format_that_it_says(embedded: Service) -> None:
    response = embedded.http.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(response.text))
    assert families
    assert all(family.documentation for family in families)
    assert all(name.startswith("memory_service_") for name in names(embedded))
