"""What the service counts of itself, as Prometheus reads it."""

import os
import re
import signal
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.config import VERSION
from app.errors import VectorStoreUnavailable
from app.metrics import Memories
from tests.metrics import names, scrape, value
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import ROOT, Service, wait_for

REQUESTS = "http_request_duration_seconds_count"
MODEL_CALLS = "model_call_duration_seconds_count"
STORE_CALLS = "store_call_duration_seconds_count"


@pytest.fixture
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer(dimensions=64) as server:
        yield server


def on(openai: OpenAIServer, folder: Path, **settings: str) -> Service:
    address = {"OPENAI_API_KEY": "sk-a-secret", "OPENAI_BASE_URL": f"{openai.url}/v1"}
    return Service(folder / "data", **address, **settings)


class TestRequests:
    def test_are_counted_by_route_method_and_status(self, fresh_service: Service) -> None:
        for _ in range(3):
            fresh_service.ask("get_all", user_id="a")
        fresh_service.post("get", {"memory_id": "no-uuid"})
        of_route = {"method": "POST", "route": "/memory/get_all", "status": "200"}
        assert value(fresh_service, REQUESTS, **of_route) == 3
        assert value(fresh_service, REQUESTS, route="/memory/get", status="400") == 1
        buckets = {**of_route, "le": "+Inf"}
        assert value(fresh_service, "http_request_duration_seconds_bucket", **buckets) == 3

    def test_no_path_method_or_user_becomes_a_label(self, fresh_service: Service) -> None:
        for number in range(5):
            fresh_service.http.get(f"/secret-{number}")
            fresh_service.http.request(f"SECRET{number}", "/health")
            fresh_service.ask("add", data=f"secret-{number}", user_id=f"secret-{number}")
            fresh_service.http.get(f"/docs/secret-{number}")
        text = scrape(fresh_service)
        assert "secret" not in text.lower()
        assert value(fresh_service, REQUESTS, route="unmatched", status="404") == 5
        assert value(fresh_service, REQUESTS, route="unmatched", method="other") == 5

    def test_none_stays_in_flight_after_any_kind_of_answer(self, fresh_service: Service) -> None:
        fresh_service.ask("add", data="x", user_id="a")
        fresh_service.ask("get_all")  # streamed
        fresh_service.http.get("/openapi.yaml")  # a file
        fresh_service.http.get("/nowhere")
        fresh_service.http.head("/docs")
        wait_for(lambda: value(fresh_service, "http_requests_in_flight") == 1)  # the scrape's own
        assert value(fresh_service, REQUESTS, route="/memory/get_all") == 1
        assert value(fresh_service, REQUESTS, route="/openapi.yaml") == 1

    def test_one_that_waits_for_a_model_is_in_flight(
        self, tmp_path: Path, openai: OpenAIServer
    ) -> None:
        with on(openai, tmp_path) as service, ThreadPoolExecutor(1) as pool:
            hanging = openai.fault("/v1/embeddings", hang=True)
            asked = pool.submit(service.post, "search", {"query": "x", "user_id": "a"})
            wait_for(lambda: value(service, "http_requests_in_flight") == 2)
            hanging.clear()
            asked.result()
            wait_for(lambda: value(service, "http_requests_in_flight") == 1)


class TestModels:
    def test_calls_and_tokens_are_what_openai_says(
        self, tmp_path: Path, openai: OpenAIServer
    ) -> None:
        with on(openai, tmp_path) as service:
            service.ask("add", data="I love hiking", user_id="a")
            for kind, model, path, spent in (
                ("embedder", "text-embedding-3-small", "/v1/embeddings", "prompt_tokens"),
                ("llm", "gpt-5-mini", "/v1/chat/completions", "prompt_tokens"),
            ):
                labels = {"kind": kind, "provider": "openai", "model": model}
                usages = [
                    answered(request)["usage"]
                    for request in openai.requests
                    if request.path == path
                ]
                tokens = sum(usage[spent] for usage in usages)
                assert value(service, MODEL_CALLS, **labels) == len(usages) > 0
                assert (
                    value(service, "model_tokens_total", **labels, direction="input") == tokens > 0
                )
            spoken = sum(usage["completion_tokens"] for usage in usages)
            assert value(service, "model_tokens_total", kind="llm", direction="output") == spoken

    def test_failures_have_their_code_and_retries_are_counted(
        self, tmp_path: Path, openai: OpenAIServer
    ) -> None:
        with on(openai, tmp_path) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            openai.fault("/v1/embeddings", status=500)
            service.post("search", {"query": "x", "user_id": "a"})
            failed = {"kind": "embedder", "code": "provider_unavailable"}
            assert value(service, "model_failures_total", **failed) == 2
            assert value(service, "model_retries_total", kind="embedder") == 1

    def test_an_answer_that_cannot_be_used_is_a_failure(
        self, tmp_path: Path, openai: OpenAIServer
    ) -> None:
        openai.reply = "no JSON at all"
        with on(openai, tmp_path) as service:
            assert service.post("add", {"data": "x", "user_id": "a"}).status_code == 502
            failed = {"kind": "llm", "code": "provider_bad_answer"}
            assert value(service, "model_failures_total", **failed) == 2
            assert value(service, "model_retries_total", kind="llm") == 1

    def test_a_usage_that_is_no_number_breaks_nothing(
        self, tmp_path: Path, openai: OpenAIServer
    ) -> None:
        vectors = {"object": "embedding", "index": 0, "embedding": [1.0] * 64}
        used = {"prompt_tokens": -3, "total_tokens": None}
        with on(openai, tmp_path) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            before = value(service, "model_tokens_total", kind="embedder")
            body = {"object": "list", "data": [vectors], "model": "m", "usage": used}
            openai.fault("/v1/embeddings", status=200, body=body)
            service.ask("search", query="x", user_id="a")
            assert value(service, "model_tokens_total", kind="embedder") == before

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

    def test_the_local_embedder_counts_too(self, fresh_service: Service) -> None:
        labels = {"kind": "embedder", "provider": "local", "model": "all-MiniLM-L6-v2"}
        before = value(fresh_service, MODEL_CALLS, **labels)
        fresh_service.ask("search", query="x", user_id="a")
        assert value(fresh_service, MODEL_CALLS, **labels) == before + 1


def answered(request: object) -> dict[str, Any]:
    answer: dict[str, Any] = yaml.safe_load(request.answer)  # type: ignore[attr-defined]
    return answer


class TestStore:
    def test_calls_are_counted_by_operation(self, fresh_service: Service) -> None:
        memory_id = fresh_service.ask("add", data="x", user_id="a")["result"]
        fresh_service.ask("search", query="x", user_id="a")
        fresh_service.ask("delete", memory_id=memory_id)
        for operation in ("upsert", "query", "retrieve", "delete"):
            assert value(fresh_service, STORE_CALLS, engine="edge", operation=operation) >= 1

    def test_a_server_that_fails_is_counted_by_code(
        self, tmp_path: Path, qdrant: QdrantServer
    ) -> None:
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            qdrant.fault("/", status=500)
            service.post("get_all", {"user_id": "a"})
            failed = {"engine": "server", "operation": "newest"}
            code = "vector_store_unavailable"
            assert value(service, "store_failures_total", **failed, code=code) == 1

    def test_a_scrape_waits_a_second_at_most_for_a_store_that_hangs(
        self, tmp_path: Path, qdrant: QdrantServer
    ) -> None:
        with Service(tmp_path / "data", QDRANT_URL=qdrant.url, QDRANT_TIMEOUT="60") as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            qdrant.fault("/", hang=True)
            text = service.http.get("/metrics", timeout=5).text
            qdrant.clear_faults()
        assert "memory_service_build_info" in text
        assert not re.search(r"^memory_service_memories", text, re.MULTILINE)


class TestMemories:
    def test_are_counted_at_a_scrape(self, fresh_service: Service) -> None:
        for number in range(3):
            fresh_service.ask("add", data=f"note {number}", user_id="a")
        assert value(fresh_service, "memories") == 3

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
    tmp_path: Path, qdrant: QdrantServer
) -> None:
    settings = {"QDRANT_URL": qdrant.url, "QDRANT_TIMEOUT": "1", "FLUSH_SECONDS": "0.2"}
    settled = "journal_entries_settled_total"
    with Service(tmp_path / "data", **settings) as service:
        service.ask("add", data="the first", user_id="a")
        assert value(service, settled) == 0
        late = qdrant.fault("/collections/memories/points", method="PUT", delay=2, apply_first=True)
        assert service.post("add", {"data": "done", "user_id": "a"}).status_code == 504
        late.clear()
        wait_for(lambda: value(service, settled, outcome="finished") == 1)
        lost = qdrant.fault("/collections/memories/points", method="PUT", status=500)
        assert service.post("add", {"data": "not done", "user_id": "a"}).status_code == 503
        lost.clear()
        wait_for(lambda: value(service, settled, outcome="undone") == 1)


class TestSeveralWorkers:
    @pytest.fixture
    def several(self, tmp_path: Path, qdrant: QdrantServer) -> Iterator[Service]:
        settings = {"QDRANT_URL": qdrant.url, "WEB_CONCURRENCY": "3"}
        with Service(tmp_path / "data", **settings) as service:
            wait_for(lambda: len(service.workers()) == 3)
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            yield service

    def test_give_the_sum_whichever_is_asked(self, several: Service) -> None:
        with ThreadPoolExecutor(12) as pool:  # each with a connection of its own, for all workers
            list(pool.map(lambda n: ask_alone(several, n), range(60)))
        of_route = {"route": "/memory/get_all", "status": "200"}
        totals = {value_alone(several, REQUESTS, **of_route) for _ in range(12)}
        assert totals == {60}
        assert value(several, "memories") == 0
        assert value(several, "build_info", version=VERSION) == 1

    def test_keep_what_a_killed_one_counted_and_forget_what_it_was_doing(
        self, several: Service, qdrant: QdrantServer
    ) -> None:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda n: ask_alone(several, n), range(30)))
            hanging = qdrant.fault("/collections/memories/points/scroll", hang=True)
            cut_off = [pool.submit(several.post, "get_all", {"user_id": "a"}) for _ in range(6)]
            wait_for(lambda: value(several, "http_requests_in_flight") == 7)
            workers = several.workers()
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            wait_for(lambda: len(set(several.workers()) - set(workers)) == 3)
            hanging.clear()
            assert all(one.exception() for one in cut_off)
        wait_for(lambda: value(several, "http_requests_in_flight") == 1)
        assert value(several, REQUESTS, route="/memory/get_all", status="200") == 30

    def test_leave_nothing_behind_and_start_from_nothing(self, several: Service) -> None:
        ask_alone(several, 1)
        folder = f"memory-service-metrics-{several.process.pid}-*"
        [shared] = [*Path("/dev/shm").glob(folder), *Path("/tmp").glob(folder)]  # noqa: S108
        several.stop()
        assert not shared.exists()
        several.start()
        assert value(several, REQUESTS, route="/memory/get_all") == 0


def ask_alone(service: Service, _number: int) -> None:
    httpx.post(f"{service.url}/memory/get_all", json={"user_id": "a"}).raise_for_status()


def value_alone(service: Service, name: str, **labels: str) -> float:
    service.http.headers["Connection"] = "close"  # so that any worker may be the next
    return value(service, name, **labels)


def test_one_worker_minds_no_variable_that_is_left_from_elsewhere(tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    with Service(tmp_path / "data", PROMETHEUS_MULTIPROC_DIR=str(strange)) as service:
        service.ask("add", data="x", user_id="a")
        assert value(service, REQUESTS, route="/memory/add") == 1
    assert not list(strange.iterdir())


def test_is_in_the_format_that_it_says(fresh_service: Service) -> None:
    response = fresh_service.http.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(response.text))
    assert all(family.documentation for family in families)
    assert all(name.startswith("memory_service_") for name in names(fresh_service))


def test_the_version_is_the_one_of_the_package_and_of_the_contract() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    contract = yaml.safe_load((ROOT / "openapi.yaml").read_text())["info"]["version"]
    assert (package, contract) == (VERSION, VERSION)
