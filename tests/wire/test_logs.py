"""The log: one line a request, JSON where it is wanted, an incident followed by its request id."""

import json
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.observability.logs import log_config, request_id
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

KEY = "sk-a-key-that-must-not-be-seen"
TEXT = "my-very-private-sentence"


def entries(service: Service) -> list[dict[str, Any]]:
    """Every line of the log, which must be a JSON object each."""
    return [json.loads(line) for line in service.log.read_text().splitlines()]


def of(service: Service, request: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(service) if entry["request_id"] == request]


class TestJson:
    def test_has_what_a_request_was_in_fields(self, followed: Service) -> None:
        followed.post("get", {}, headers={"X-Request-ID": "one-400"})
        [entry] = of(followed, "one-400")
        assert entry.pop("ms") >= 0
        expected = {"method": "POST", "route": "/memory/get", "status": 400, "key_id": "-"}
        assert expected.items() <= entry.items()

    def test_has_one_line_for_a_listing_that_is_streamed(self, followed: Service) -> None:
        followed.ask("add", data="x", user_id="a", infer=False)
        followed.post("get_all", {}, headers={"X-Request-ID": "all"}).raise_for_status()
        wait_for(lambda: of(followed, "all"))
        assert [entry["status"] for entry in of(followed, "all")] == [200]

    def test_keeps_a_traceback_in_its_line(self) -> None:
        entry = json.loads(logged("json", ValueError("a\nb")))
        assert "Traceback" in entry["exception"]
        assert "ValueError: a\nb" in entry["exception"]

    def test_stays_whole_whatever_is_said(self) -> None:
        assert json.loads(logged("json", None, 'a "b"\n茶 \x00'))["message"] == 'a "b"\n茶 \x00'


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_of_a_request_says_where_and_not_what(form: str) -> None:
    token = request_id.set("some-request")
    try:
        line = logged(form, ValueError(TEXT))
    finally:
        request_id.reset(token)
    assert "ValueError" in line
    assert "in raised" in line
    assert TEXT not in line


def logged(form: str, error: Exception | None, message: str = "it failed") -> str:
    """What the handlers of the service make of a record."""
    formatters = log_config("INFO", form)["formatters"]
    spec = dict(formatters[form])
    formatter: logging.Formatter = spec.pop("()")(fmt=spec.pop("format", None))
    exc_info = raised(error) if error else None
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, message, (), exc_info)
    log_config("INFO", form)["filters"]["request"]["()"]().filter(record)
    return formatter.format(record)


def raised(error: Exception) -> Any:
    try:
        raise error
    except ValueError:
        return sys.exc_info()


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(dimensions=64, api_key=KEY) as running:
        yield running


@pytest.fixture
def openai(server: OpenAIServer) -> Iterator[OpenAIServer]:
    yield server
    server.clear_faults()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, server: OpenAIServer) -> Iterator[Service]:
    address = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
    folder = tmp_path_factory.mktemp("incident")
    with Service(folder / "data", LOG_FORMAT="json", **address) as running:
        wait_for(lambda: running.http.get("/ready").json()["status"] == "ok")
        yield running


class TestAnIncident:
    """Can be followed by the request id of the answer."""

    def test_leads_to_the_error_of_each_model_and_to_their_own_id(
        self, followed: Service, openai: OpenAIServer
    ) -> None:
        for path, name in (("chat", "openai/gpt-5-mini"), ("emb", "openai/text-embedding-3-small")):
            headers = {"x-request-id": f"req_{path}"}
            fault = openai.fault(f"/v1/{path}", status=401, headers=headers)
            answer = followed.post("add", {"data": TEXT, "user_id": "a"})
            fault.clear()
            assert answer.json()["code"] == "provider_auth_failed"
            failed, *_ = of(followed, answer.json()["request_id"])
            assert failed["message"].startswith(f"{name}: provider_auth_failed")
            assert f"status 401, their request req_{path}" in failed["message"]
        assert TEXT not in followed.log.read_text()
        assert KEY not in followed.log.read_text()

    def test_also_where_the_call_ran_in_a_thread_of_its_own(
        self, followed: Service, openai: OpenAIServer
    ) -> None:
        openai.fault("/v1/embeddings", status=500)
        headers = {"X-Request-ID": "from-ready"}

        def asked_and_failed() -> list[str]:  # it asks at most once a second
            followed.http.get("/ready", headers=headers)
            return [e["message"] for e in of(followed, "from-ready") if e["level"] == "WARNING"]

        assert "provider_unavailable" in wait_for(asked_and_failed)[0]

    def test_also_where_one_call_was_made_for_several(
        self, followed: Service, openai: OpenAIServer
    ) -> None:
        openai.requests.clear()
        first = openai.fault("/v1/embeddings", delay=30, times=1)
        with ThreadPoolExecutor(3) as pool:

            def add(name: str) -> Any:
                body = {"data": f"about {name}", "user_id": "a", "infer": False}
                return pool.submit(followed.post, "add", body, headers={"X-Request-ID": name})

            alone = add("alone")
            assert openai.wait_for(1, "/v1/embeddings")
            openai.fault("/v1/embeddings", status=401)
            together = [add("one"), add("two")]
            assert {asked.result().status_code for asked in together} == {502}
            first.clear()
            assert alone.result().status_code == 201
        for name in ("one", "two"):
            said = [e["message"] for e in of(followed, name) if e["level"] == "WARNING"]
            assert any("provider_auth_failed" in message for message in said), said

    def test_an_id_of_theirs_that_may_be_anything_is_left_away(
        self, followed: Service, openai: OpenAIServer
    ) -> None:
        openai.fault("/v1/chat", status=401, headers={"x-request-id": f"a b {TEXT}"})
        answer = followed.post("add", {"data": "x", "user_id": "a"})
        failed, *_ = of(followed, answer.json()["request_id"])
        assert "status 401" in failed["message"]
        assert TEXT not in followed.log.read_text()

    def test_leads_to_ollama_and_to_qdrant(self, tmp_path: Path) -> None:
        with (
            OllamaServer() as ollama,
            QdrantServer() as qdrant,
            Service(
                tmp_path / "data",
                OLLAMA_BASE_URL=ollama.url,
                QDRANT_URL=qdrant.url,
                LLM_MODEL="llama3.2",
            ) as service,
        ):
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            fault = ollama.fault("/api/embed", status=500)
            answer = service.post("add", {"data": TEXT, "user_id": "a", "infer": False})
            fault.clear()
            line = f"[{answer.json()['request_id']}] app.providers.retry: ollama/"
            assert line in service.log.read_text()
            qdrant.fault("/", status=500)
            answer = service.post("get_all", {"user_id": "a"})
            found = (
                f"[{answer.json()['request_id']}] app.api.http.problems: vector_store_unavailable: "
            )
            assert f"{found}The Qdrant server failed (500)." in service.log.read_text()
            assert TEXT not in service.log.read_text()


def test_json_has_one_object_a_line_from_start_to_end(followed: Service) -> None:
    """The last one here: it stops the service."""
    followed.ask("add", data="x", user_id="a", infer=False)
    assert followed.stop() == 0
    loggers = {entry["logger"] for entry in entries(followed)}
    assert {"app", "app.api", "gunicorn.error"} <= loggers
    required = {"time", "level", "logger", "message", "request_id"}
    assert all(required <= entry.keys() for entry in entries(followed))
