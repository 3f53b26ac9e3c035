"""Builds the requests for /chat/completions, in the forms that services accept."""

import re
from collections.abc import Mapping
from typing import Any

from app.providers.adaptation import Choice, Forms
from app.providers.chat import THINKING_TOKENS, ChatRequest

_HIDDEN_THOUGHTS = re.compile(r"(^|/)(gpt-5|o\d)")
"""OpenAI's reasoning models, which take neither max_tokens nor a temperature."""
_THOUGHTS = re.compile(r"reason|think|deepseek-r1|qwq|magistral|gpt-oss", re.IGNORECASE)

# The forms of response_format.
BOUNDED, SCHEMA, ANY_OBJECT = "json_schema with bounds", "json_schema", "json_object"

_BOUNDS = ("maxItems", "maxLength")


_NAMED_BY = {
    "response_format": (
        *("response_format", "response format", "schema", "json_object", "json mode"),
        *("grammar", "structured output", "strict'", 'strict"'),
        "json_validate_failed",  # Groq
    ),
    "cap": (
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "output tokens"),
        "in the completion",
    ),
    "system": (
        *("system role", "'system'", "system message", "developer instruction"),
        # Templates of Gemma and Mistral, MiniMax.
        *("roles must alternate", "role: system", "role system", "unexpected role"),
    ),
}
"""The words by which refusals name these choices."""


def choices(model: str) -> dict[str, Choice]:
    """The parts of a request that a service may refuse. Choices with more specific words come
    first."""
    caps = ["max_tokens", "max_completion_tokens", None]
    temperatures = [0, None]
    if _HIDDEN_THOUGHTS.search(model):
        caps[:2] = ["max_completion_tokens", "max_tokens"]
        temperatures = [None]
    formats = [BOUNDED, SCHEMA, ANY_OBJECT, None]
    return {
        # DashScope's Qwen3 answers without a stream only with thinking off.
        "enable_thinking": Choice([None, False], ["enable_thinking"]),
        "stream": Choice([None, True], ["streaming", "stream mode", "stream=", "'stream'"]),
        "response_format": Choice(formats, _NAMED_BY["response_format"]),
        "temperature": Choice(temperatures, ["temperature"]),
        # For vLLM the cap must also fit into the context.
        "cap": Choice(caps, _NAMED_BY["cap"]),
        "system": Choice([True, False], _NAMED_BY["system"]),
    }


def chat_body(model: str, asked: ChatRequest, forms: Forms) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [*asked.messages]}
    if not forms["system"]:
        body["messages"] = [{"role": "user", "content": _joined(asked)}]
    if asked.schema and forms["response_format"]:
        body["response_format"] = _format(asked.schema, forms["response_format"])
    if forms["cap"]:
        thinks = _HIDDEN_THOUGHTS.search(model) or _THOUGHTS.search(model)
        body[forms["cap"]] = max(asked.max_tokens, THINKING_TOKENS if thinks else 0)
    for name in ("temperature", "enable_thinking", "stream"):
        if forms[name] is not None:
            body[name] = forms[name]
    return body


def _joined(asked: ChatRequest) -> str:
    return "\n\n".join(message["content"] for message in asked.messages)


def _format(schema: Mapping[str, Any], form: str) -> dict[str, Any]:
    if form == ANY_OBJECT:
        return {"type": "json_object"}
    shape = schema if form == BOUNDED else _without_bounds(schema)
    named = {"name": "memories", "strict": True, "schema": shape}
    return {"type": "json_schema", "json_schema": named}


def _without_bounds(schema: Any) -> Any:
    """`schema` without bounds, which services that enforce a schema often do not support."""
    if isinstance(schema, Mapping):
        return {k: _without_bounds(v) for k, v in schema.items() if k not in _BOUNDS}
    return schema
