"""LLMs by OpenAI's API: POST /chat/completions."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from app.observability.metrics import ModelMeter
from app.providers.adaptation import Adaptation, Forms
from app.providers.chat import ChatAnswer, ChatRequest, with_extra
from app.providers.openai.answers import spoken
from app.providers.openai.client import Client, used
from app.providers.openai.failures import translate
from app.providers.openai.refusals import refusal
from app.providers.openai.requests import chat_body, choices
from app.providers.retry import call
from app.providers.target import Target


class OpenAIChat:
    """A ChatModel by POST /chat/completions; learns the forms that the service accepts."""

    def __init__(
        self, client: Client, names: Target, extra: Mapping[str, Any] | None = None
    ) -> None:
        """`extra` are further fields for each call."""
        self.name = f"openai/{names.model}"
        self._client = client
        self._names = names
        self._extra = extra or {}
        self._meter = ModelMeter("llm", self.name)
        self._adaptation = Adaptation(self.name, choices(names.model), refusal)

    def __call__(self, asked: ChatRequest, seconds: float) -> ChatAnswer:
        def request(left: float) -> ChatAnswer:
            until = time.monotonic() + left
            return self._adaptation.ask(lambda forms: self._ask(asked, forms, until))

        return call(request, seconds, partial(translate, target=self._names), self._meter)

    def _ask(self, asked: ChatRequest, forms: Forms, until: float) -> ChatAnswer:
        body = with_extra(chat_body(self._names.model, asked, forms), self._extra)
        answer = self._client.post("/chat/completions", body, until - time.monotonic())
        said = spoken(answer)
        self._meter.tokens(used(answer, "prompt_tokens"), used(answer, "completion_tokens"))
        return said
