"""Answers by POST /api/chat."""

from functools import partial
from typing import Any, Literal

from app.config import Endpoint
from app.observability.metrics import ModelMeter
from app.providers.ollama.client import Clients
from app.providers.ollama.failures import translate
from app.providers.retry import call


class OllamaChat:
    """Answers by POST /api/chat."""

    def __init__(self, endpoint: Endpoint, model: str, seconds: float) -> None:
        self.name = f"ollama/{model}"
        self._model = model
        self._clients = Clients(endpoint, seconds)
        self._meter = ModelMeter("llm", self.name)

    def __call__(self, messages: Any, response_format: Any, seconds: float) -> str:
        def request(left: float) -> str:
            shape: Literal["json"] | None = "json" if response_format else None
            answer = self._clients.within(left).chat(self._model, messages, format=shape)
            self._meter.tokens(answer.prompt_eval_count, answer.eval_count)
            return answer.message.content or ""

        return call(request, seconds, partial(translate, model=self._model), self._meter)
