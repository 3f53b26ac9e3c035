"""Which of the wanted models Ollama has."""

from collections.abc import Sequence
from functools import partial

from app.config import Endpoint
from app.errors import ModelNotReady
from app.observability.metrics import ModelMeter
from app.providers.ollama.client import Clients
from app.providers.ollama.failures import not_there, translate
from app.providers.ollama.pull import OllamaPull
from app.providers.retry import call

CHECK_S = 2.0


class OllamaModels:
    """Which of the wanted models Ollama has, or is pulling."""

    def __init__(self, endpoint: Endpoint, models: Sequence[str]) -> None:
        self._models = models
        self._clients = Clients(endpoint, CHECK_S)
        self._meter = ModelMeter("list", "ollama/-")
        self.pull = OllamaPull(self._clients, self.missing)

    def check(self) -> None:
        """Raises ModelNotReady, which names a missing model, or that Ollama is down."""
        for model in self.missing():
            if progress := self.pull.progress.get(model):
                raise ModelNotReady(f"Ollama is still pulling the model {model}: {progress}.")
            raise not_there(model)

    def missing(self) -> list[str]:
        def request(left: float) -> list[str]:
            found = self._clients.within(left).list().models
            names = {_full(model.model or "") for model in found}
            return [model for model in self._models if _full(model) not in names]

        return call(request, CHECK_S, partial(translate, model="list"), self._meter)


def _full(model: str) -> str:
    return model if ":" in model else f"{model}:latest"
