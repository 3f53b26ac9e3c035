"""Chat by Ollama: what is asked, what models refuse, and that no prompt is cut in silence."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from app.config import Endpoint, Settings
from app.errors import ContextTooSmall, ProviderRefused, ProviderTimeout
from app.providers.chat import ChatAnswer, ChatRequest
from app.providers.ollama import PROVIDER
from app.providers.ollama.chat import OllamaChat
from tests.servers.ollama import OllamaServer

SECONDS = 3.0
FOUND = '{"memory": ["Likes tea"]}'
SCHEMA = {"type": "object", "properties": {"memory": {"type": "array"}}}
SYSTEM = {"role": "system", "content": "Find memories."}
ASKED = ChatRequest([SYSTEM, {"role": "user", "content": "喝茶"}], 1500, SCHEMA)
LONG = replace(ASKED, messages=[SYSTEM, {"role": "user", "content": "I like green tea. " * 3000}])
LONG_CHINESE = replace(
    ASKED, messages=[SYSTEM, {"role": "user", "content": "我喜欢喝绿茶。" * 2000}]
)


Opening = Callable[..., OllamaChat]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as running:
        running.reply = FOUND
        yield running


@pytest.fixture
def chat(server: OllamaServer) -> Iterator[Opening]:
    with ExitStack() as opened:

        def opening(**options: Any) -> OllamaChat:
            endpoint = Endpoint(server.url, None)
            options = {"num_ctx": 8192, **options}
            of = PROVIDER.target(Settings(), "LLM", "llama3.2")
            made = OllamaChat(endpoint, of, SECONDS, **options)
            opened.callback(made.close)
            return made

        yield opening


def test_it_asks_for_a_context_a_schema_a_cap_and_no_thoughts(
    server: OllamaServer, chat: Opening
) -> None:
    assert chat()(ASKED, SECONDS) == ChatAnswer(FOUND)
    assert server.requests[-1].body == {
        "model": "llama3.2",
        "messages": [*ASKED.messages],
        "stream": False,
        "format": SCHEMA,
        "think": False,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 8192, "num_predict": 1500, "temperature": 0},
    }


@pytest.mark.parametrize(("given", "sent"), [("30m", "30m"), ("-1", -1), ("60", 60)])
def test_it_says_how_long_the_model_is_kept(
    server: OllamaServer, chat: Opening, given: str, sent: object
) -> None:
    chat(keep_alive=given)(ASKED, SECONDS)
    assert server.requests[-1].body["keep_alive"] == sent


def test_more_fields_are_joined_to_each_call(server: OllamaServer, chat: Opening) -> None:
    chat(extra={"options": {"seed": 1}, "think": None})(ASKED, SECONDS)
    body = server.requests[-1].body
    assert body["options"] == {"num_ctx": 8192, "num_predict": 1500, "temperature": 0, "seed": 1}
    assert "think" not in body


def test_a_model_that_knows_no_thoughts_is_asked_without_the_word_from_then_on(
    server: OllamaServer,
    chat: Opening,
) -> None:
    server.thinks = False
    asked = chat()
    assert asked(ASKED, SECONDS) == asked(ASKED, SECONDS) == ChatAnswer(FOUND)
    assert ["think" in request.body for request in server.requests] == [True, False, False]


def test_a_version_that_knows_no_schema_is_asked_for_any_json(
    server: OllamaServer, chat: Opening
) -> None:
    refused = server.fault(
        "/api/chat", status=400, body={"error": "invalid format: expected json"}, times=1
    )
    assert chat()(ASKED, SECONDS) == ChatAnswer(FOUND)
    assert server.requests[-1].body["format"] == "json"
    refused.clear()


def test_another_refusal_is_told_after_one_call(server: OllamaServer, chat: Opening) -> None:
    server.fault("/api/chat", status=400, body={"error": "no"})
    with pytest.raises(ProviderRefused):
        chat()(ASKED, SECONDS)
    assert len(server.requests) == 1


@pytest.mark.parametrize("asked", [LONG, LONG_CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("cuts_anyway", [False, True])
def test_a_prompt_that_does_not_fit_is_told_and_never_cut(
    server: OllamaServer, chat: Opening, asked: ChatRequest, cuts_anyway: bool
) -> None:
    server.cuts_anyway = cuts_anyway
    with pytest.raises(ContextTooSmall, match="OLLAMA_NUM_CTX"):
        chat()(asked, SECONDS)
    assert len(server.requests) == 1
    assert chat(num_ctx=65536)(asked, SECONDS) == ChatAnswer(FOUND)


@pytest.mark.parametrize("counted", [None, 2])
def test_a_short_prompt_that_was_partly_known_is_no_cut(
    server: OllamaServer, chat: Opening, counted: int | None
) -> None:
    body = {"message": {"role": "assistant", "content": FOUND}, "prompt_eval_count": counted}
    server.fault("/api/chat", status=200, body=body)
    assert chat()(ASKED, SECONDS) == ChatAnswer(FOUND)


@pytest.mark.parametrize(
    ("message", "end", "said"),
    [
        ({"content": '{"mem'}, "length", ChatAnswer('{"mem', cut=True)),
        ({"content": "", "thinking": FOUND}, "stop", ChatAnswer(FOUND)),
        ({"content": "", "thinking": "Hm"}, "length", ChatAnswer("", cut=True)),
        ({"content": FOUND, "thinking": "Hm"}, "stop", ChatAnswer(FOUND)),
    ],
)
def test_each_shape_of_an_answer_is_read(
    server: OllamaServer, chat: Opening, message: dict[str, str], end: str, said: ChatAnswer
) -> None:
    body = {"message": {"role": "assistant", **message}, "done_reason": end}
    server.fault("/api/chat", status=200, body=body)
    assert chat()(ASKED, SECONDS) == said


def test_what_is_found_out_takes_no_more_than_the_time_of_the_call(
    server: OllamaServer, chat: Opening
) -> None:
    server.thinks = False
    server.fault("/api/chat", delay=0.4)
    started = time.monotonic()
    with pytest.raises(ProviderTimeout):
        chat()(ASKED, 0.6)
    assert time.monotonic() - started < SECONDS
