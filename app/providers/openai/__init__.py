"""The provider OpenAI, and any service that speaks its API, by OpenAI's own library."""

from app.config import Settings
from app.providers.base import Check, Provider
from app.providers.fitting import FittingCalls
from app.providers.openai.chat import OpenAIChat
from app.providers.openai.client import connect
from app.providers.openai.embeddings import OpenAIEmbeddings
from app.providers.openai.models import OpenAIModel
from app.providers.target import Remote, Target


class OpenAI(Provider):
    name = "openai"
    default_embedder = "text-embedding-3-small"
    default_llm = "gpt-5-mini"
    remote = Remote(
        "The model's service",
        "it mostly ends in /v1, and nothing such as /chat/completions comes after it",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
    )

    def open_embedder(self, settings: Settings, model: str) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(
            connect(settings.embedder_endpoint),
            self.target(settings, "EMBEDDER", model),
            settings.embedder_timeout,
            FittingCalls(model, settings.embedder_batch, settings.embedder_max_tokens),
            settings.embedder_dimensions,
        )

    def open_llm(self, settings: Settings, model: str) -> OpenAIChat:
        target = self.target(settings, "LLM", model)
        return OpenAIChat(connect(settings.llm_endpoint), target, settings.llm_extra_body)

    def open_check(self, settings: Settings, target: Target) -> Check | None:
        """A check for an LLM. None for an embedder, which is asked for an embedding instead."""
        if target.role == "EMBEDDER":
            return None
        return OpenAIModel(connect(settings.llm_endpoint), target).check


PROVIDER = OpenAI()
