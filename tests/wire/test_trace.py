"""W3C Trace Context: taken by its grammar, logged, passed on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.base import Request
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SENT = {"traceparent": f"00-{ID}-{PARENT}-01", "tracestate": "rojo=00f067aa0ba902b7,congo=t61"}


class Traced(NamedTuple):
    service: Service
    openai: OpenAIServer
    qdrant: QdrantServer


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """With one thread, which must not go on with the trace of the request before."""
    with OpenAIServer(dimensions=64) as openai, QdrantServer() as qdrant:
        settings = {
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_BASE_URL": f"{openai.url}/v1",
            "QDRANT_URL": qdrant.url,
            "THREADS": "1",
            "LOG_FORMAT": "json",
        }
        with Service(tmp_path_factory.mktemp("traced") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield Traced(service, openai, qdrant)


@pytest.fixture
def deployed(started: Traced) -> Traced:
    started.openai.requests.clear()
    started.qdrant.requests.clear()
    return started


class TestIsPassedOn:
    def test_to_openai_and_qdrant(self, deployed: Traced) -> None:
        service, openai, qdrant = deployed
        sent = service.post("add", {"data": "I hike", "user_id": "a"}, headers=SENT)
        assert sent.status_code == 201
        assert {"/v1/chat/completions", "/v1/embeddings"} <= traced(openai.requests)
        assert "/collections/memories/points" in traced(qdrant.requests)
        parents = [r.headers["traceparent"] for r in openai.requests + qdrant.requests]
        assert len(set(parents)) == len(parents)  # each call has an id of its own
        assert not any(PARENT in parent for parent in parents)

    def test_to_ollama(self, tmp_path: Path) -> None:
        with OllamaServer() as ollama:
            settings = {"OLLAMA_BASE_URL": ollama.url, "LLM_MODEL": "llama3.2"}
            with Service(tmp_path / "data", **settings) as service:
                wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
                ollama.requests.clear()
                sent = service.post("add", {"data": "I hike", "user_id": "a"}, headers=SENT)
                assert sent.status_code == 201
                assert {"/api/chat", "/api/embed"} <= traced(ollama.requests)

    def test_by_the_request_that_brought_it_alone(self, deployed: Traced) -> None:
        service, _, qdrant = deployed
        service.post("get_all", {"user_id": "a"}, headers=SENT)
        qdrant.requests.clear()
        service.ask("get_all", user_id="a")
        service.post("get_all", {"user_id": "a"}, headers={"traceparent": "nonsense"})
        assert len(qdrant.requests) >= 2
        assert not any("traceparent" in request.headers for request in qdrant.requests)


def traced(requests: list[Request]) -> set[str]:
    """The paths that were asked, all of them in the trace that was sent."""
    for request in requests:
        version, trace, parent, flags = request.headers["traceparent"].split("-")
        assert (version, trace, flags) == ("00", ID, "01")
        assert re.fullmatch("[0-9a-f]{16}", parent)
        assert request.headers["tracestate"] == SENT["tracestate"]
    return {request.path for request in requests}


def test_stands_in_the_log(service: Service) -> None:
    service.post("get", {}, headers={**SENT, "X-Request-ID": "traced"})
    assert f"[traced] trace={ID} app.api: POST /memory/get 400" in service.log.read_text()


def test_stands_in_the_log_as_json(deployed: Traced) -> None:
    service = deployed.service
    service.post("get", {}, headers={**SENT, "X-Request-ID": "traced"})
    service.post("get", {}, headers={"X-Request-ID": "not-traced"})
    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    [with_it] = [entry for entry in entries if entry["request_id"] == "traced"]
    [without] = [entry for entry in entries if entry["request_id"] == "not-traced"]
    assert with_it["trace_id"] == ID
    assert "trace_id" not in without
