"""The service on OpenAI: its library comes late, and reads no settings of its own."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.openai import OpenAIServer
from tests.service import Service, wait_for

KEY = "sk-of-the-tests"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def test_requests_that_come_before_the_library_is_there_wait_for_it(
    server: OpenAIServer, tmp_path: Path
) -> None:
    address = {"OPENAI_BASE_URL": f"{server.url}/v1", "EMBEDDER_PROVIDER": "openai"}
    with Service(tmp_path / "data", **address) as service, ThreadPoolExecutor(8) as pool:
        asked = [f"text {number}" for number in range(8)]
        answers = list(pool.map(lambda text: service.post("search", {"query": text}), asked))
        assert [answer.status_code for answer in answers] == [200] * 8
    assert server.requests[-1].headers["authorization"] == "Bearer none"


def test_variables_that_the_library_reads_by_itself_change_nothing(
    server: OpenAIServer, tmp_path: Path
) -> None:
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
    its_own = {
        "OPENAI_ORG_ID": "org-of-another",
        "OPENAI_PROJECT_ID": "proj-of-another",
        "OPENAI_ADMIN_KEY": "sk-admin-of-another",
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer of-another\nX-Of-Another: 1",
        "OPENAI_LOG": "debug",
    }
    with Service(tmp_path / "data", **settings, **its_own) as service:
        assert service.post("search", {"query": "a secret text"}).status_code == 200
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        log = service.log.read_text()
    assert server.requests
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert "of-another" not in json.dumps(request.headers).lower()
    assert "DEBUG" not in log
    assert "secret text" not in log
