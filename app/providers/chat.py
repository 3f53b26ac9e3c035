"""The interface of chat models: ChatRequest, ChatAnswer, ChatModel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

THINKING_TOKENS = 16_000
"""The limit of an answer by a reasoning model, whose hidden thoughts count, too."""


@dataclass(frozen=True)
class ChatRequest:
    messages: Sequence[Mapping[str, str]]
    """`{"role": "system" or "user", "content": text}`, the system message first."""
    max_tokens: int
    """The limit of the answer, for a model that does not stop by itself."""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the wanted answer; None for plain text."""


@dataclass(frozen=True)
class ChatAnswer:
    text: str
    cut: bool = False
    """Whether it was cut off at the limit of tokens."""


class ChatModel(Protocol):
    """One model of a provider: safe for many threads, counted by a ModelMeter.

    Raises a ServiceError for each failure; ContextTooSmall where the prompt does not fit.
    """

    @property
    def name(self) -> str:
        """Provider and model, such as `openai/gpt-5-mini`."""

    def __call__(self, asked: ChatRequest, seconds: float) -> ChatAnswer:
        """The answer, within `seconds`."""


def with_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with the fields of LLM_EXTRA_BODY, which win; a null removes a field.

    Objects are merged one level deep, so that a single option does not replace all the others.
    """
    joined = dict(body)
    for name, value in extra.items():
        ours = joined.get(name)
        if isinstance(ours, dict) and isinstance(value, dict):
            value = {**ours, **value}
        joined[name] = value
    return {name: value for name, value in joined.items() if value is not None}
