"""Chat by OpenAI's API as services speak it: what is asked, what they refuse, what they answer."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from app.config import Settings
from app.errors import (
    ContextTooSmall,
    ProviderBadAnswer,
    ProviderContentFiltered,
    ProviderRefused,
    ProviderUnavailable,
)
from app.providers.chat import THINKING_TOKENS, ChatAnswer, ChatRequest, with_extra
from app.providers.openai import PROVIDER
from app.providers.openai.chat import OpenAIChat
from app.providers.openai.client import Client
from tests.servers.base import Answer, Request
from tests.servers.openai import OpenAIServer, error_body

SECONDS = 15.0  # the first call imports the library
SYSTEM = {"role": "system", "content": "Find memories; answer in json."}
USER = {"role": "user", "content": "喝茶"}
TEXT = {"type": "string", "maxLength": 300}
SCHEMA = {"type": "object", "properties": {"memory": {"type": "array", "items": TEXT}}}
ASKED = ChatRequest([SYSTEM, USER], max_tokens=1500, schema=SCHEMA)

FOUND = '{"memory": []}'

Refusal = Callable[[dict[str, Any]], str | None]
"""What a service says to a body that it does not take."""


class Picky(OpenAIServer):
    """Refuses with 400, or the status that is set, what it does not take."""

    refuses: Refusal = staticmethod(lambda _: None)
    status = 400
    sends: bytes | None = None
    """The whole body of an answer, in place of the usual."""

    def answer(self, request: Request) -> Answer:
        words = self.refuses(request.body)
        if words:
            return Answer.of(error_body(words, "invalid_request_error"), self.status)
        if self.sends is not None:
            return Answer(200, self.sends, {"Content-Type": "text/event-stream"})
        if request.body.get("stream"):
            return Answer(200, streamed(FOUND), {"Content-Type": "text/event-stream"})
        return super().answer(request)


def streamed(text: str, end: str = "stop") -> bytes:
    pieces = [{"choices": [{"delta": {"content": piece}}]} for piece in text]
    last = {"choices": [{"delta": {}, "finish_reason": end}], "usage": {"prompt_tokens": 5}}
    lines = [f"data: {json.dumps(piece)}\n\n" for piece in [*pieces, last]]
    return "".join([": keep-alive\n\n", *lines, "data: [DONE]\n\n"]).encode()


def choice(end: str | None = "stop", **message: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": end}]}).encode()


@pytest.fixture
def server() -> Iterator[Picky]:
    with Picky() as running:
        running.reply = FOUND
        yield running


@pytest.fixture
def client(server: Picky) -> Iterator[Client]:
    with closing(Client(f"{server.url}/v1", "sk")) as opened:
        yield opened


def chat(client: Client, model: str, extra: Mapping[str, Any] | None = None) -> OpenAIChat:
    return OpenAIChat(client, PROVIDER.target(Settings(), "LLM", model), extra)


# ---- what is asked


def test_it_asks_for_a_schema_a_cap_and_no_chance(server: Picky, client: Client) -> None:
    assert chat(client, "qwen3")(ASKED, SECONDS) == ChatAnswer(FOUND)
    assert server.requests[-1].path == "/v1/chat/completions"
    assert server.requests[-1].body == {
        "model": "qwen3",
        "messages": [SYSTEM, USER],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "memories", "strict": True, "schema": SCHEMA},
        },
        "max_tokens": 1500,
        "temperature": 0,
    }


@pytest.mark.parametrize("model", ["gpt-5-mini", "openai/gpt-5", "o3", "o4-mini"])
def test_a_model_that_thinks_in_hiding_gets_its_own_cap(
    server: Picky, client: Client, model: str
) -> None:
    chat(client, model)(ASKED, SECONDS)
    body = server.requests[-1].body
    assert body["max_completion_tokens"] == THINKING_TOKENS
    assert {"max_tokens", "temperature"}.isdisjoint(body)


@pytest.mark.parametrize(
    ("model", "cap"), [("deepseek-reasoner", THINKING_TOKENS), ("gpt-4o", 1500), ("llama3", 1500)]
)
def test_other_models_are_capped_by_the_usual_name(
    server: Picky, client: Client, model: str, cap: int
) -> None:
    chat(client, model)(ASKED, SECONDS)
    assert server.requests[-1].body["max_tokens"] == cap


def test_more_fields_are_sent_with_each_call_and_win(server: Picky, client: Client) -> None:
    extra = {"enable_thinking": False, "temperature": None, "max_tokens": 5}
    chat(client, "qwen3", extra)(ASKED, SECONDS)
    body = server.requests[-1].body
    assert (body["enable_thinking"], body["max_tokens"]) == (False, 5)
    assert "temperature" not in body


def test_objects_among_them_are_joined() -> None:
    ours = {"options": {"num_ctx": 1, "seed": 2}, "think": False}
    assert with_extra(ours, {"options": {"seed": 3}, "think": None}) == {
        "options": {"num_ctx": 1, "seed": 3}
    }


# ---- what is refused


def format_is(*refused: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: body.get("response_format", {}).get("type") in refused


def bounds(body: dict[str, Any]) -> bool:
    return "maxLength" in json.dumps(body)


REFUSALS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, dict[str, Any]]] = {
    # who says it: what is refused, the words, what is sent instead
    "OpenAI, of bounds": (
        bounds,
        "Invalid schema for response_format 'memories': 'maxLength' is not permitted.",
        {"response_format.type": "json_schema"},
    ),
    "DeepSeek": (
        format_is("json_schema"),
        "This response_format type is unavailable now",
        {"response_format.type": "json_object"},
    ),
    "an old server": (
        format_is("json_schema", "json_object"),
        'Unknown name "response_format": Cannot find field.',
        {"response_format": None},
    ),
    "llama.cpp, of a grammar": (
        format_is("json_schema"),
        "Failed to parse grammar",
        {"response_format.type": "json_object"},
    ),
    "OpenAI, of a cap": (
        lambda body: "max_tokens" in body,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        {"max_tokens": None, "max_completion_tokens": 1500},
    ),
    "DashScope, of a cap": (
        lambda body: "max_tokens" in body or "max_completion_tokens" in body,
        "Range of max_tokens should be [1, 1024]",
        {"max_tokens": None, "max_completion_tokens": None},
    ),
    "OpenAI, of a temperature": (
        lambda body: "temperature" in body,
        "Unsupported value: 'temperature' does not support 0 with this model.",
        {"temperature": None},
    ),
    "DashScope, of thinking": (
        lambda body: body.get("enable_thinking") is not False,
        "parameter.enable_thinking must be set to false for non-streaming calls",
        {"enable_thinking": False, "stream": None},
    ),
    "DashScope, of an answer at once": (
        lambda body: not body.get("stream"),
        "This model only support stream mode, please enable the stream parameter.",
        {"stream": True},
    ),
    "Groq, of what the model wrote": (
        format_is("json_schema", "json_object"),
        "Failed to generate JSON. Please adjust your prompt. json_validate_failed",
        {"response_format": None},
    ),
    "Moonshot, of a temperature": (
        lambda body: "temperature" in body,
        "invalid temperature: only 1 is allowed for this model",
        {"temperature": None},
    ),
    "Gemini, of Gemma": (
        format_is("json_schema", "json_object"),
        "JSON mode is not enabled for models/gemma-3-27b-it",
        {"response_format": None},
    ),
    "a template of Gemma": (
        lambda body: body["messages"][0]["role"] == "system",
        "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...",
        {"messages": [{"role": "user", "content": f"{SYSTEM['content']}\n\n{USER['content']}"}]},
    ),
    "Gemma": (
        lambda body: body["messages"][0]["role"] == "system",
        "System role not supported",
        {"messages": [{"role": "user", "content": f"{SYSTEM['content']}\n\n{USER['content']}"}]},
    ),
}


@pytest.mark.parametrize("who", REFUSALS)
@pytest.mark.parametrize("status", [400, 422])
def test_what_a_service_does_not_take_is_found_out_once(
    server: Picky, client: Client, who: str, status: int
) -> None:
    refused, words, instead = REFUSALS[who]
    server.refuses = lambda body: words if refused(body) else None
    server.status = status
    llm = chat(client, "a-model")
    assert llm(ASKED, SECONDS) == ChatAnswer(FOUND)
    asked = len(server.requests)
    assert 2 <= asked <= 4
    assert llm(ASKED, SECONDS) == ChatAnswer(FOUND)
    assert len(server.requests) == asked + 1
    for path, value in instead.items():
        assert at(server.requests[-1].body, path) == value


def at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def test_a_server_that_fails_over_a_parameter_is_asked_without_it(
    server: Picky, client: Client
) -> None:
    server.refuses = lambda body: (
        "litellm.UnsupportedParamsError: ollama does not support parameters: ['response_format']"
        if "response_format" in body
        else None
    )
    server.status = 500
    assert chat(client, "a-model")(ASKED, SECONDS) == ChatAnswer(FOUND)


def test_a_server_that_fails_over_something_else_is_asked_the_same_again(
    server: Picky, client: Client
) -> None:
    server.refuses = lambda _: "upstream failed, response_format was json_schema"
    server.status = 500
    with pytest.raises(ProviderUnavailable):
        chat(client, "a-model")(ASKED, SECONDS)
    assert all(format_is("json_schema")(request.body) for request in server.requests)


def test_several_things_are_found_out_one_after_another(server: Picky, client: Client) -> None:
    def refuses(body: dict[str, Any]) -> str | None:
        found = (words for refused, words, _ in REFUSALS.values() if refused(body))
        return next(found, None)

    server.refuses = refuses
    assert chat(client, "a-model")(ASKED, SECONDS) == ChatAnswer(FOUND)


def test_a_refusal_that_names_nothing_is_told_after_one_call(server: Picky, client: Client) -> None:
    server.refuses = lambda _: "upstream error: the request was rejected"
    with pytest.raises(ProviderRefused):
        chat(client, "a-model")(ASKED, SECONDS)
    assert len(server.requests) == 1


def test_a_context_that_is_too_small_is_told_with_its_numbers(
    server: Picky, client: Client
) -> None:
    server.refuses = lambda _: (
        "request (8050 tokens) exceeds the available context size (4096 tokens), try increasing it"
    )
    with pytest.raises(ContextTooSmall, match=r"8050 tokens, it takes 4096"):
        chat(client, "a-model")(ASKED, SECONDS)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "words",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 16000. This model's maximum context "
        "length is 8192 tokens and your request has 600 input tokens.",
        "This model's maximum context length is 8192 tokens. However, you requested 16600 tokens "
        "(600 in the messages, 16000 in the completion).",
    ],
)
def test_a_cap_that_does_not_fit_into_the_context_is_left_out(
    server: Picky, client: Client, words: str
) -> None:
    caps = {"max_tokens", "max_completion_tokens"}
    server.refuses = lambda body: None if caps.isdisjoint(body) else words
    assert chat(client, "deepseek-r1")(ASKED, SECONDS) == ChatAnswer(FOUND)


def test_a_choice_that_failed_midway_is_a_failure(server: Picky, client: Client) -> None:
    failed = {"finish_reason": "error", "message": {"content": "{"}, "error": {"code": 502}}
    server.sends = json.dumps({"choices": [failed]}).encode()
    with pytest.raises(ProviderUnavailable):
        chat(client, "a-model")(ASKED, SECONDS)


@pytest.mark.parametrize(
    "answer",
    [
        choice("content_filter", content=""),
        choice("sensitive", content=""),
        choice("SAFETY", content=None),
        choice("stop", content=None, refusal="I'm sorry, I cannot do that."),
    ],
    ids=["filter", "Zhipu", "Gemini", "refusal"],
)
def test_what_a_filter_took_away_is_told_as_such(
    server: Picky, client: Client, answer: bytes
) -> None:
    server.sends = answer
    with pytest.raises(ProviderContentFiltered):
        chat(client, "a-model")(ASKED, SECONDS)


# ---- what is answered


ANSWERS: dict[str, tuple[bytes, ChatAnswer]] = {
    "parts": (
        choice(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": FOUND}]),
        ChatAnswer(FOUND),
    ),
    "an object": (choice(content={"memory": []}), ChatAnswer(FOUND)),
    "thoughts alone": (choice(content=None, reasoning_content=FOUND), ChatAnswer(FOUND)),
    "thoughts by another name": (choice(content=" \n", reasoning=FOUND), ChatAnswer(FOUND)),
    "thoughts beside": (choice(content=FOUND, reasoning_content="Hm."), ChatAnswer(FOUND)),
    "thoughts that were cut": (
        choice("length", content="", reasoning_content="Hm"),
        ChatAnswer("", cut=True),
    ),
    "the call of a tool": (
        choice("tool_calls", content=None, tool_calls=[{"function": {"arguments": FOUND}}]),
        ChatAnswer(FOUND),
    ),
    "the call of a function": (
        choice("function_call", content=None, function_call={"arguments": FOUND}),
        ChatAnswer(FOUND),
    ),
    "a cut of Mistral's": (choice("model_length", content='{"mem'), ChatAnswer('{"mem', cut=True)),
    "a stream that goes on after its end": (
        streamed('{"mem', "length").replace(
            b"data: [DONE]", b'data: {"choices": [{"delta": {}, "finish_reason": null}]}'
        ),
        ChatAnswer('{"mem', cut=True),
    ),
    "a stream with a line separator in a text": (
        'data: {"choices": [{"delta": {"content": "a\u2028b"}}]}\n\n'.encode(),
        ChatAnswer("a\u2028b"),
    ),
    "nothing": (choice(content=None), ChatAnswer("")),
    "a cut": (choice("length", content='{"mem'), ChatAnswer('{"mem', cut=True)),
    "a stream": (streamed(FOUND), ChatAnswer(FOUND)),
    "a stream that was cut": (streamed('{"mem', "length"), ChatAnswer('{"mem', cut=True)),
    "a stream in one piece": (
        b"event: message\ndata: " + choice(content=FOUND) + b"\n\n",
        ChatAnswer(FOUND),
    ),
}


@pytest.mark.parametrize("shape", ANSWERS)
def test_each_shape_of_an_answer_is_read(server: Picky, client: Client, shape: str) -> None:
    server.sends, said = ANSWERS[shape]
    assert chat(client, "a-model")(ASKED, SECONDS) == said


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b'{"choices": []}', b'{"choices": [{"message": null}]}'),
        *(choice(content=5), b"data: {", b"data: [DONE]\n\ndata: 5", b"<html>"),
    ],
)
def test_what_is_no_answer_is_a_bad_answer(server: Picky, client: Client, body: bytes) -> None:
    server.sends = body
    with pytest.raises(ProviderBadAnswer):
        chat(client, "a-model")(ASKED, SECONDS)
