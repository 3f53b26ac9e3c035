"""The embedder and the LLM that the settings choose. A provider is found by its file's name."""

from importlib import import_module

from app.config import Endpoint, Settings
from app.providers.base import AskedAtStart, Check, Provider
from app.providers.batching import SharedEmbedder
from app.providers.chat import ChatModel
from app.providers.validation import CheckedEmbedder

NO_LLM = "none"


def find(name: str) -> Provider:
    """What the file or folder `app/providers/NAME` declares. Imports its library."""
    provider: Provider = import_module(f"app.providers.{name}").PROVIDER
    return provider


def open_embedder(settings: Settings) -> CheckedEmbedder:
    """Connects to nothing yet. StartupError where what it needs is not installed."""
    provider = find(settings.embedder_provider)
    model = provider.open_embedder(settings, _embedder_model(settings))
    seconds = provider.embedder_seconds or settings.embedder_timeout
    shared = SharedEmbedder(model, seconds, max_batch=provider.max_batch)
    return CheckedEmbedder(model.name, shared, model, provider.prefix)


def open_llm(settings: Settings) -> ChatModel | None:
    """None where texts are stored as they are given. Connects to nothing yet."""
    if settings.llm_provider == NO_LLM:
        return None
    return find(settings.llm_provider).open_llm(settings, _llm_model(settings))


def open_check(settings: Settings, embedder: CheckedEmbedder) -> Check:
    """What tells whether the models are ready: for the start, and for each /ready."""
    of_embedder = (settings.embedder_provider, settings.embedder_endpoint)
    asked: dict[tuple[str, Endpoint], list[str]] = {of_embedder: [_embedder_model(settings)]}
    if settings.llm_provider != NO_LLM:
        of_llm = (settings.llm_provider, settings.llm_endpoint)
        asked.setdefault(of_llm, []).append(_llm_model(settings))
    checks = [
        find(name).open_check(settings, endpoint, models)
        for (name, endpoint), models in asked.items()
    ]
    if find(settings.embedder_provider).asked_at_start is not AskedAtStart.NO:
        checks.append(embedder.check)

    def check() -> None:
        for one in filter(None, checks):
            one()

    return check


def start_waits_for_embedder(settings: Settings) -> bool:
    return find(settings.embedder_provider).asked_at_start is AskedAtStart.AT_ONCE


def _embedder_model(settings: Settings) -> str:
    return settings.embedder_model or find(settings.embedder_provider).default_embedder


def _llm_model(settings: Settings) -> str:
    return settings.llm_model or find(settings.llm_provider).default_llm
