"""Answers by POST /chat/completions."""

from functools import partial
from typing import Any

from app.observability.metrics import ModelMeter
from app.providers.openai.client import Client, used
from app.providers.openai.failures import translate
from app.providers.retry import call


class OpenAIChat:
    """Answers by POST /chat/completions."""

    def __init__(self, client: Client, model: str) -> None:
        self.name = f"openai/{model}"
        self._client = client
        self._model = model
        self._meter = ModelMeter("llm", self.name)

    def __call__(self, messages: Any, response_format: Any, seconds: float) -> str:
        body = {"messages": messages, "model": self._model}
        if response_format:
            body["response_format"] = response_format

        def request(left: float) -> str:
            answer = self._client.post("/chat/completions", body, left)
            text = answer["choices"][0]["message"].get("content") or ""
            if not isinstance(text, str):
                raise ValueError("the content is not a text")
            taken, given = used(answer, "prompt_tokens"), used(answer, "completion_tokens")
            self._meter.tokens(taken, given)
            return text

        return call(request, seconds, partial(translate, model=self._model), self._meter)
