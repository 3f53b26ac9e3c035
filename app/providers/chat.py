"""What a chat model is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

THINKING_TOKENS = 16_000
"""The cap of an answer by a model that thinks before it speaks: what it hides counts too."""


@dataclass(frozen=True)
class ChatRequest:
    messages: Sequence[Mapping[str, str]]
    """`{"role": "system" or "user", "content": text}`, the system's first."""
    max_tokens: int
    """Where an answer ends that comes to no end by itself."""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the answer wanted; None for a text."""


@dataclass(frozen=True)
class ChatAnswer:
    text: str
    cut: bool = False
    """Whether it ended where it had to, not where it wanted to."""


class ChatModel(Protocol):
    """One model of a provider: safe for many threads, counted by a ModelMeter.

    Raises a ServiceError for whatever fails; ContextTooSmall where what is asked does not fit.
    """

    @property
    def name(self) -> str:
        """Provider and model, such as `openai/gpt-5-mini`."""

    def __call__(self, asked: ChatRequest, seconds: float) -> ChatAnswer:
        """What it answers within `seconds`."""


def with_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with the fields of LLM_EXTRA_BODY, which win; null takes a field away.

    Objects are joined one level deep, so that one option does not replace all of them.
    """
    joined = dict(body)
    for name, value in extra.items():
        ours = joined.get(name)
        if isinstance(ours, dict) and isinstance(value, dict):
            value = {**ours, **value}
        joined[name] = value
    return {name: value for name, value in joined.items() if value is not None}
