"""Ollama's LLM: POST /api/chat."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from ollama import ChatResponse

from app.config import Endpoint
from app.observability.metrics import ModelMeter
from app.providers.adaptation import Adaptation, Forms
from app.providers.chat import ChatAnswer, ChatRequest, with_extra
from app.providers.context import too_small
from app.providers.ollama.client import Clients
from app.providers.ollama.cut import cut_to
from app.providers.ollama.failures import translate
from app.providers.ollama.requests import CHOICES, chat_body, refusal
from app.providers.retry import call
from app.providers.target import Target


class OllamaChat:
    """A ChatModel by POST /api/chat; learns the forms of requests that the model accepts."""

    def __init__(
        self,
        endpoint: Endpoint,
        names: Target,
        seconds: float,
        *,
        num_ctx: int,
        keep_alive: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`num_ctx` is the context in tokens, for prompt and answer together. `extra` are further
        fields for each call."""
        self.name = f"ollama/{names.model}"
        self._names = names
        self._num_ctx = num_ctx
        self._keep_alive = keep_alive
        self._extra = extra or {}
        self._clients = Clients(endpoint, seconds)
        self._meter = ModelMeter("llm", self.name)
        self._adaptation = Adaptation(self.name, CHOICES, refusal)

    def __call__(self, asked: ChatRequest, seconds: float) -> ChatAnswer:
        def request(left: float) -> ChatResponse:
            until = time.monotonic() + left
            return self._adaptation.ask(lambda forms: self._ask(asked, forms, until))

        answer = call(request, seconds, partial(translate, target=self._names), self._meter)
        self._meter.tokens(answer.prompt_eval_count, answer.eval_count)
        left = cut_to(asked.messages, answer.prompt_eval_count)
        if left is not None:
            failure = too_small(self._names.model, takes=left)
            self._meter.failed(failure)
            raise failure
        cut = answer.done_reason == "length"
        text = answer.message.content or (not cut and answer.message.thinking) or ""
        return ChatAnswer(text, cut)

    def close(self) -> None:
        """Close its connections."""
        self._clients.close()

    def _ask(self, asked: ChatRequest, forms: Forms, until: float) -> ChatResponse:
        body = chat_body(self._names.model, asked, forms, self._num_ctx, self._keep_alive)
        left = until - time.monotonic()
        return self._clients.chat(with_extra(body, self._extra), left)
