"""OpenAI, or any service that speaks its API, through its own library."""

from app.config import Settings
from app.providers.base import Provider
from app.providers.openai.chat import OpenAIChat
from app.providers.openai.client import connect
from app.providers.openai.embeddings import OpenAIEmbeddings


class OpenAI(Provider):
    name = "openai"
    default_embedder = "text-embedding-3-small"
    default_llm = "gpt-5-mini"

    def open_embedder(self, settings: Settings, model: str) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(
            connect(settings.embedder_endpoint), model, settings.embedder_timeout
        )

    def open_llm(self, settings: Settings, model: str) -> OpenAIChat:
        return OpenAIChat(connect(settings.llm_endpoint), model, settings.llm_extra_body)


PROVIDER = OpenAI()
