"""How the LLM is asked by each setting, and what comes of a service's refusals, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer, error_body
from tests.service import Service

CONTEXT = (
    "This model's maximum context length is 4096 tokens. However, you requested 9550 tokens (8050 "
    "in the messages, 1500 in the completion)."
)


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIServer]:
    with OpenAIServer(dimensions=64) as server:
        yield server


@pytest.fixture
def server(running: OpenAIServer) -> OpenAIServer:
    running.clear_faults()
    running.requests.clear()
    running.reply = facts("Has a dog named Rex")
    return running


def on(server: OpenAIServer, folder: Path, **settings: str) -> Service:
    address = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{server.url}/v1"}
    return Service(folder / "data", LLM_MODEL="qwen3", **address, **settings)


@pytest.fixture(scope="module")
def service(running: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On a server of one's own, as it is by default."""
    with on(running, tmp_path_factory.mktemp("own"), LLM_EXTRA_BODY='{"seed": 7}') as started:
        yield started


def facts(*texts: str) -> str:
    return json.dumps({"memory": [{"text": text} for text in texts]})


def asked(server: OpenAIServer | OllamaServer, path: str = "/v1/chat/completions") -> list[Any]:
    return [request.body for request in server.requests if request.path == path]


def test_a_server_of_ones_own_is_asked_with_the_short_prompt(
    server: OpenAIServer, service: Service, user: str
) -> None:
    assert service.ask("add", data="My dog is Rex", user_id=user)["result"]
    assert service.ask("add", data="My dog is Rex", agent_id=user)["result"]
    of_user, of_agent = asked(server)
    system = of_user["messages"][0]["content"]
    assert len(system) <= 1600
    assert of_agent["messages"][0]["content"].startswith(system)
    assert (of_user["seed"], of_user["temperature"], of_user["max_tokens"]) == (7, 0, 1500)
    assert of_user["response_format"]["type"] == "json_schema"


def test_a_context_that_is_too_small_for_mem0s_prompt_is_asked_with_the_short_one(
    server: OpenAIServer, tmp_path: Path
) -> None:
    """As it is said, and with the settings that are said: mem0 stays where it was chosen."""
    too_small = {"status": 400, "body": error_body(CONTEXT, "invalid_request_error")}
    with on(server, tmp_path, EXTRACTION="mem0") as service:
        fault = server.fault("/v1/chat", **too_small)
        response = service.post("add", {"data": "My dog is Rex", "user_id": "a"})
        assert (response.status_code, response.json()["code"]) == (502, "context_too_small")
        for said in ("9550", "4096", "EXTRACTION=short"):
            assert said in response.json()["detail"]
        fault.clear()
        assert service.ask("add", data="My dog is Rex", user_id="a")["result"]
    assert all(len(body["messages"][0]["content"]) > 30_000 for body in asked(server))


def test_an_answer_without_an_end_is_told_as_such(
    server: OpenAIServer, service: Service, user: str
) -> None:
    endless = {
        "choices": [
            {"message": {"content": '{"memory": [{"text": "Has a d'}, "finish_reason": "length"}
        ]
    }
    server.fault("/v1/chat", status=200, body=endless)
    response = service.post("add", {"data": "My dog is Rex", "user_id": user})
    assert (response.status_code, response.json()["code"]) == (502, "provider_answer_cut")
    assert len(asked(server)) == 2
    assert service.ask("get_all", user_id=user)["total"] == 0


def test_what_nobody_said_of_the_user_is_not_stored(
    server: OpenAIServer, service: Service, user: str
) -> None:
    talk = [
        {"role": "user", "content": "I moved to Lisbon last week."},
        {"role": "assistant", "content": "Sounds lovely! Do you need tips?"},
    ]
    server.reply = facts(
        "Moved to Lisbon",
        "Sounds lovely!",
        "Do you need tips?",
        "I'm sorry, but I can't help with that.",
    )
    stored = service.ask("add", messages=talk, user_id=user)["results"]
    assert [memory["memory"] for memory in stored] == ["Moved to Lisbon"]


def test_a_prompt_that_ollama_would_cut_is_an_error_and_not_an_empty_answer(
    tmp_path: Path,
) -> None:
    settings = {"LLM_MODEL": "llama3.2", "OLLAMA_NUM_CTX": "512", "OLLAMA_KEEP_ALIVE": "-1"}
    long = "My dog is called Rex. " * 200
    with (
        OllamaServer() as ollama,
        Service(tmp_path / "data", OLLAMA_BASE_URL=ollama.url, **settings) as service,
    ):
        for cuts_anyway in (False, True):
            ollama.cuts_anyway = cuts_anyway
            response = service.post("add", {"data": long, "user_id": "a"})
            assert (response.status_code, response.json()["code"]) == (502, "context_too_small")
            assert "OLLAMA_NUM_CTX" in response.json()["detail"]
    [first, _] = asked(ollama, "/api/chat")
    assert (first["options"]["num_ctx"], first["keep_alive"]) == (512, -1)
