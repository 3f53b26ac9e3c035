"""Checks whether Ollama has a model."""

from functools import partial

from app.config import Endpoint
from app.errors import ModelNotReady
from app.observability.metrics import ModelMeter
from app.providers.ollama.client import Clients
from app.providers.ollama.failures import not_there, translate
from app.providers.ollama.pull import OllamaPull
from app.providers.retry import call
from app.providers.target import Target

CHECK_S = 2.0


class OllamaModel:
    """Checks whether Ollama has a model, or is pulling it."""

    def __init__(self, endpoint: Endpoint, target: Target) -> None:
        self._target = target
        self._clients = Clients(endpoint, CHECK_S)
        self._meter = ModelMeter("list", "ollama/-")
        self.pull = OllamaPull(self._clients, self.missing)

    def check(self) -> None:
        """Raises ModelNotReady where the model is missing, and the failures of listing models."""
        for model in self.missing():
            if progress := self.pull.progress.get(model):
                raise ModelNotReady(f"Ollama is still pulling the model {model}: {progress}.")
            raise not_there(model)

    def missing(self) -> list[str]:
        """The model in a list, where Ollama does not have it; else an empty list."""

        def request(left: float) -> list[str]:
            found = self._clients.list(left).models
            names = {_full(model.model or "") for model in found}
            return [] if _full(self._target.model) in names else [self._target.model]

        return call(request, CHECK_S, partial(translate, target=self._target), self._meter)


def _full(model: str) -> str:
    return model if ":" in model else f"{model}:latest"
