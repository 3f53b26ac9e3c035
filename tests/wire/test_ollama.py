"""On Ollama: models that are missing, pulled at start, hanging, and back again."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ollama import OllamaServer
from tests.service import Service, wait_for

LLM, EMBEDDER = "llama3.2", "nomic-embed-text"


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


def on(ollama: OllamaServer, folder: Path, **settings: str) -> Service:
    return Service(
        folder / "data",
        OLLAMA_BASE_URL=ollama.url,
        LLM_MODEL=LLM,
        LLM_TIMEOUT="2",
        EMBEDDER_TIMEOUT="1",
        **settings,
    )


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_adds_and_finds(shared: tuple[Service, OllamaServer], user: str) -> None:
    service, ollama = shared
    ollama.reply = json.dumps({"memory": [{"text": "Likes tea"}]})
    stored = service.ask("add", data="I like tea", user_id=user)["results"]
    assert [memory["memory"] for memory in stored] == ["Likes tea"]
    assert service.ask("search", query="tea", user_id=user)["results"]
    assert not ollama.count("/api/pull")


def test_a_missing_model_is_named(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.models = {LLM}
    with on(ollama, tmp_path) as service:
        unready = service.http.get("/ready").json()["checks"]["embedder"]
        assert unready["code"] == "model_not_ready"
        assert f"ollama pull {EMBEDDER}" in unready["detail"]
        response = service.post("add", {"data": "x", "user_id": "a", "infer": False})
        assert code(response) == (503, "model_not_ready")
        assert EMBEDDER in response.json()["detail"]
        assert not ollama.count("/api/pull")

        ollama.models = {EMBEDDER}
        response = service.post("add", {"data": "x", "user_id": "a"})
        assert code(response) == (503, "model_not_ready")
        assert LLM in response.json()["detail"]


def test_missing_models_are_pulled_in_the_background(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.models = set()
    ollama.pull_seconds = 1
    ollama.reply = json.dumps({"memory": [{"text": "Likes tea"}]})
    with on(ollama, tmp_path, OLLAMA_PULL="true") as service:

        def pulling() -> bool:
            return "still pulling" in service.http.get("/ready").text

        wait_for(pulling)
        assert service.http.get("/health").status_code == 200
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 20)
        assert service.ask("add", data="I like tea", user_id="alice")["result"]
        assert f"pulled the model {EMBEDDER}" in service.log.read_text()


@pytest.mark.soak
def test_a_pull_that_ollama_is_not_there_for_is_made_later(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    ollama.models = set()
    ollama.pull_seconds = 0
    ollama.stop()
    with on(ollama, tmp_path, OLLAMA_PULL="true") as service:
        wait_for(lambda: "pulling models from Ollama failed" in service.log.read_text())
        ollama.start()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)


@pytest.mark.parametrize(
    ("fault", "status", "expected", "seconds"),
    [
        ({"hang": True}, 504, "provider_timeout", 2),
        ({"drop": True}, 503, "provider_unavailable", 1),
        ({"status": 500}, 503, "provider_unavailable", 1),
        ({"status": 401}, 502, "provider_auth_failed", 1),
        ({"status": 400}, 502, "provider_refused", 1),
        ({"raw": b"<html>"}, 502, "provider_bad_answer", 1),
        ({"raw": b'{"embeddings": []}'}, 502, "provider_bad_answer", 1),
        ({"raw": b'{"embeddings": [["a"]]}'}, 502, "provider_bad_answer", 1),
    ],
    ids=str,
)
def test_a_fault_is_told_truly_and_soon(
    shared: tuple[Service, OllamaServer],
    user: str,
    fault: dict[str, Any],
    status: int,
    expected: str,
    seconds: float,
) -> None:
    service, ollama = shared
    broken = ollama.fault("/api/embed", **fault)
    started = time.monotonic()
    response = service.post("add", {"data": "x", "user_id": user, "infer": False})
    took = time.monotonic() - started
    broken.clear()
    assert code(response) == (status, expected)
    assert took < seconds
    assert service.ask("get_all", user_id=user)["total"] == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, OllamaServer]]:
    folder = tmp_path_factory.mktemp("ollama")
    with OllamaServer() as ollama, on(ollama, folder) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        yield service, ollama


def test_a_look_at_ready_does_not_ask_for_an_embedding(
    shared: tuple[Service, OllamaServer],
) -> None:
    service, ollama = shared
    embedded, looked = ollama.count("/api/embed"), ollama.count("/api/tags")

    def looked_again() -> bool:
        assert service.http.get("/ready").json()["status"] == "ok"
        return ollama.count("/api/tags") > looked

    wait_for(looked_again)
    assert ollama.count("/api/embed") == embedded


def test_down_and_back(shared: tuple[Service, OllamaServer], user: str) -> None:
    service, ollama = shared
    ollama.stop()
    response = service.post("add", {"data": "x", "user_id": user, "infer": False})
    assert code(response) == (503, "provider_unavailable")
    assert service.ask("search", query="x", user_id=user)["degraded"] is True
    ollama.start()
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
    assert service.post("search", {"query": "x", "user_id": user}).status_code == 200
