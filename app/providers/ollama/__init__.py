"""Ollama, through its own library."""

from collections.abc import Sequence

from app.config import Endpoint, Settings
from app.providers.base import AskedAtStart, Check, Provider
from app.providers.ollama.chat import OllamaChat
from app.providers.ollama.embeddings import OllamaEmbeddings
from app.providers.ollama.models import OllamaModels


class Ollama(Provider):
    name = "ollama"
    default_embedder = "nomic-embed-text"
    default_llm = "llama3.1:8b"
    asked_at_start = AskedAtStart.NO

    def open_embedder(self, settings: Settings, model: str) -> OllamaEmbeddings:
        return OllamaEmbeddings(settings.embedder_endpoint, model, settings.embedder_timeout)

    def open_llm(self, settings: Settings, model: str) -> OllamaChat:
        return OllamaChat(
            settings.llm_endpoint,
            model,
            settings.llm_timeout,
            num_ctx=settings.ollama_num_ctx,
            keep_alive=settings.ollama_keep_alive,
            extra=settings.llm_extra_body,
        )

    def open_check(self, settings: Settings, endpoint: Endpoint, models: Sequence[str]) -> Check:
        """Pulls what is missing, in the background, if OLLAMA_PULL says so."""
        wanted = OllamaModels(endpoint, models)
        if settings.ollama_pull:
            wanted.pull.start()
        return wanted.check


PROVIDER = Ollama()
