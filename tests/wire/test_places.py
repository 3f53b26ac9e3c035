"""LLM_CONCURRENCY over HTTP: while all places wait for an LLM, others are answered or told no."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers.openai import OpenAIServer
from tests.service import Service, wait_for

CHAT = "/v1/chat/completions"


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def test_an_add_without_a_place_is_429_and_the_others_are_answered(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    settings = {
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_BASE_URL": f"{openai.url}/v1",
        "LLM_CONCURRENCY": "1",
        "RATE_LIMIT": "1000/hour",
    }
    with Service(tmp_path / "data", **settings) as service, ThreadPoolExecutor(2) as pool:
        known = service.ask("add", data="tea", user_id="a", infer=False)["result"]
        openai.fault(CHAT, delay=60)

        def add(text: str) -> httpx.Response:
            return service.post("add", {"data": text, "user_id": "a"})

        def chats() -> int:
            return sum(request.path == CHAT for request in openai.requests)

        holding = pool.submit(add, "has the only place")
        wait_for(lambda: chats() == 1)
        refused = add("waits, and finds none")
        assert refused.status_code == 429
        assert refused.json()["code"] == "too_many_requests"
        assert "LLM_CONCURRENCY" in refused.json()["detail"]
        # Its own, and not when the window of the rate limit ends.
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["RateLimit-Limit"] == "1000"
        assert service.ask("get", memory_id=known)["memory"] == "tea"
        assert service.ask("add", data="as given", user_id="a", infer=False)["result"]
        assert chats() == 1
        openai.clear_faults()
        assert holding.result(30).is_success
        assert add("finds the place free").is_success
