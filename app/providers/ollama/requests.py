"""Builds the requests for /api/chat, in the forms that models and versions of Ollama accept."""

from collections.abc import Mapping
from typing import Any

import ollama

from app.providers.adaptation import REFUSALS, Choice, Forms
from app.providers.chat import ChatRequest
from app.providers.context import context_too_small

SCHEMA, ANY_JSON = "schema", "json"

CHOICES: Mapping[str, Choice] = {
    # A reasoning model cannot be held to a schema while it thinks.
    "think": Choice([False, None], ["think"]),
    "format": Choice([SCHEMA, ANY_JSON, None], ["format", "grammar", "schema"]),
}


def refusal(error: Exception) -> str | None:
    """The text of a refusal after which another form may be accepted; else None."""
    if not isinstance(error, ollama.ResponseError) or error.status_code not in REFUSALS:
        return None
    return None if context_too_small(error.error, "") else error.error


def chat_body(
    model: str, asked: ChatRequest, forms: Forms, num_ctx: int, keep_alive: str | None
) -> dict[str, Any]:
    """The body of a call. `num_ctx` must be the same in all calls: for another value Ollama loads
    the model again."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [*asked.messages],
        "stream": False,
        # A prompt that does not fit must be an error. By default Ollama drops its beginning, which
        # is the task.
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": num_ctx, "num_predict": asked.max_tokens, "temperature": 0},
    }
    if keep_alive:
        number = keep_alive.removeprefix("-").isdecimal()
        body["keep_alive"] = int(keep_alive) if number else keep_alive
    if asked.schema and forms["format"]:
        body["format"] = asked.schema if forms["format"] == SCHEMA else ANY_JSON
    if asked.schema and forms["think"] is not None:
        body["think"] = forms["think"]
    return body
