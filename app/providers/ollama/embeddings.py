"""Vectors by POST /api/embed."""

from functools import partial

from app.config import Endpoint
from app.observability.metrics import ModelMeter
from app.providers.ollama.client import Clients
from app.providers.ollama.failures import translate
from app.providers.retry import call


class OllamaEmbeddings:
    """Vectors by POST /api/embed."""

    def __init__(self, endpoint: Endpoint, model: str, seconds: float) -> None:
        self.name = f"ollama/{model}"
        self._model = model
        self._seconds = seconds
        self._clients = Clients(endpoint, seconds)
        self._meter = ModelMeter("embedder", self.name)

    def __call__(self, texts: list[str]) -> list[list[float]]:
        def request(left: float) -> list[list[float]]:
            answer = self._clients.within(left).embed(model=self._model, input=texts)
            self._meter.tokens(answer.prompt_eval_count)
            return [list(vector) for vector in answer.embeddings]

        return call(request, self._seconds, partial(translate, model=self._model), self._meter)
