"""The embedder and the LLM that the settings choose, and what must be ready for them.

Each module imports its library, and is imported only where it is chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.config import Settings
from app.observability.metrics import ModelMeter
from app.providers.base import LLM
from app.providers.batching import SharedEmbedder
from app.providers.validation import CheckedEmbedder, CheckedLLM

LOCAL_S = 600.0
"""How long a text waits for the local embedder: it cannot hang, only be busy."""


@dataclass(frozen=True)
class Providers:
    embedder: CheckedEmbedder
    llm: LLM | None
    check: Callable[[], None] | None = None
    """Raises when the models are not there; None where only an embedding can tell."""


def open_providers(settings: Settings) -> Providers:
    """Connects to nothing yet. StartupError where the local embedder is not installed."""
    embedder = open_embedder(settings)
    return Providers(embedder, open_llm(settings), check=_check_of_ollama(settings))


def open_embedder(settings: Settings) -> CheckedEmbedder:
    seconds = settings.embedder_timeout
    match settings.embedder_provider:
        case "openai":
            from app.providers import openai

            model = settings.embedder_model or openai.DEFAULT_EMBEDDER
            asked = openai.OpenAIEmbeddings(openai.connect(settings), model, seconds)
            return CheckedEmbedder(asked.name, SharedEmbedder(asked, seconds), asked)
        case "ollama":
            from app.providers import ollama

            model = settings.embedder_model or ollama.DEFAULT_EMBEDDER
            ollamas = ollama.OllamaEmbeddings(settings.ollama_base_url, model, seconds)
            return CheckedEmbedder(ollamas.name, SharedEmbedder(ollamas, seconds), ollamas)
        case _:
            from app.providers import local

            minilm = local.MiniLM()
            counted = ModelMeter("embedder", minilm.name).around(minilm.embed_batch)
            shared = SharedEmbedder(counted, LOCAL_S, together=local.BATCH)
            return CheckedEmbedder(minilm.name, shared, counted)


def open_llm(settings: Settings) -> LLM | None:
    match settings.llm_provider:
        case "openai":
            from app.providers import openai

            chat = openai.OpenAIChat(
                openai.connect(settings), settings.llm_model or openai.DEFAULT_LLM
            )
            return CheckedLLM(chat.name, chat, settings.llm_timeout)
        case "ollama":
            from app.providers import ollama

            ollama_chat = ollama.OllamaChat(
                settings.ollama_base_url,
                settings.llm_model or ollama.DEFAULT_LLM,
                settings.llm_timeout,
            )
            return CheckedLLM(ollama_chat.name, ollama_chat, settings.llm_timeout)
        case _:
            return None


def _check_of_ollama(settings: Settings) -> Callable[[], None] | None:
    if "ollama" not in (settings.embedder_provider, settings.llm_provider):
        return None
    from app.providers import ollama

    models = []
    if settings.embedder_provider == "ollama":
        models.append(settings.embedder_model or ollama.DEFAULT_EMBEDDER)
    if settings.llm_provider == "ollama":
        models.append(settings.llm_model or ollama.DEFAULT_LLM)
    wanted = ollama.OllamaModels(settings.ollama_base_url, models)
    if settings.ollama_pull:
        wanted.pull_in_background()
    return wanted.check
