"""Ollama's embedder: POST /api/embed."""

import time
from functools import partial
from typing import Any

from app.config import Endpoint
from app.embeddings import Vector
from app.observability.metrics import ModelMeter
from app.providers.fitting import FittingCalls
from app.providers.ollama.client import Clients
from app.providers.ollama.failures import translate
from app.providers.retry import call
from app.providers.target import Target


class OllamaEmbeddings:
    """An EmbeddingModel by POST /api/embed."""

    def __init__(
        self,
        endpoint: Endpoint,
        target: Target,
        seconds: float,
        calls: FittingCalls,
        dimensions: int | None = None,
    ) -> None:
        """`seconds`: the limit for all calls that one request for vectors takes. `dimensions`: the
        wanted size of the vectors; None for the model's own."""
        self.name = f"ollama/{target.model}"
        self._target = target
        self._seconds = seconds
        self._calls = calls
        self._dimensions = dimensions
        self._clients = Clients(endpoint, seconds)
        self._meter = ModelMeter("embedder", self.name)

    def __call__(self, texts: list[str]) -> list[Vector]:
        deadline = time.monotonic() + self._seconds
        return self._calls(texts, lambda part: self._ask(part, deadline))

    def close(self) -> None:
        """Close its connections."""
        self._clients.close()

    def _ask(self, texts: list[str], deadline: float) -> list[Vector]:
        def request(left: float) -> list[Vector]:
            body: dict[str, Any] = {"model": self._target.model, "input": texts}
            if self._dimensions:
                body["dimensions"] = self._dimensions
            answer = self._clients.embed(body, left)
            self._meter.tokens(answer.prompt_eval_count)
            return [list(vector) for vector in answer.embeddings]

        left = deadline - time.monotonic()
        return call(request, left, partial(translate, target=self._target), self._meter)
