"""The provider Ollama, by its own library."""

from app.config import Settings
from app.config.environment import hidden_from_import
from app.config.outgoing import CERTIFICATES, PROXIES
from app.providers.base import AskedAtStart, Check, Provider
from app.providers.fitting import FittingCalls
from app.providers.target import Remote, Target, endpoint

# At its import the library opens a client, which fails where one of these variables is unusable.
# So it is imported before our modules import it.
with hidden_from_import("OLLAMA_HOST", *CERTIFICATES, *PROXIES):
    import ollama  # noqa: F401

from app.providers.ollama.chat import OllamaChat
from app.providers.ollama.embeddings import OllamaEmbeddings
from app.providers.ollama.models import OllamaModel


class Ollama(Provider):
    name = "ollama"
    default_embedder = "nomic-embed-text"
    default_llm = "llama3.1:8b"
    remote = Remote(
        "Ollama",
        "it is Ollama's own, such as http://127.0.0.1:11434, without /v1 or /api",
        "OLLAMA_BASE_URL",
    )
    asked_at_start = AskedAtStart.NO

    def open_embedder(self, settings: Settings, model: str) -> OllamaEmbeddings:
        return OllamaEmbeddings(
            settings.embedder_endpoint,
            self.target(settings, "EMBEDDER", model),
            settings.embedder_timeout,
            FittingCalls(model, settings.embedder_batch, settings.embedder_max_tokens),
            settings.embedder_dimensions,
        )

    def open_llm(self, settings: Settings, model: str) -> OllamaChat:
        return OllamaChat(
            settings.llm_endpoint,
            self.target(settings, "LLM", model),
            settings.llm_timeout,
            num_ctx=settings.ollama_num_ctx,
            keep_alive=settings.ollama_keep_alive,
            extra=settings.llm_extra_body,
        )

    def open_check(self, settings: Settings, target: Target) -> Check:
        """A check. With OLLAMA_PULL it also starts to pull a missing model in the background."""
        model = OllamaModel(endpoint(settings, target.role), target)
        if settings.ollama_pull:
            model.pull.start()
        return model.check


PROVIDER = Ollama()
