"""Opens the embedder and the LLM that the settings choose. Providers are found by the names of
their modules."""

from collections.abc import Callable
from importlib import import_module

from app.config import Settings
from app.providers.base import AskedAtStart, Check, Provider
from app.providers.batching import SharedEmbedder
from app.providers.chat import ChatModel
from app.providers.validation import CheckedEmbedder

NO_LLM = "none"


def find(name: str) -> Provider:
    """The provider in the module or package `app/providers/NAME`; imports its library."""
    provider: Provider = import_module(f"app.providers.{name}").PROVIDER
    return provider


def open_embedder(settings: Settings) -> CheckedEmbedder:
    """The embedder, not yet connected. Raises StartupError where something is not installed."""
    provider = find(settings.embedder_provider)
    model = provider.open_embedder(settings, _embedder_model(settings))
    seconds = provider.embedder_seconds or settings.embedder_timeout
    batch = settings.embedder_batch or provider.max_batch
    shared = SharedEmbedder(model, seconds, max_batch=batch)
    own = settings.embedder_passage_prefix
    return CheckedEmbedder(
        model.name,
        shared,
        model,
        _prefix(settings, provider),
        # Another prefix makes other vectors, so it is a part of the name.
        known_as=f"{model.name} after {own!r}" if own else model.name,
        dimensions=settings.embedder_dimensions,
        zero=provider.zero,
    )


def _prefix(settings: Settings, provider: Provider) -> Callable[[str, str | None], str]:
    """The function for prefixes: those of the settings, or else the provider's."""

    def prefix(name: str, action: str | None) -> str:
        query, passage = settings.embedder_query_prefix, settings.embedder_passage_prefix
        return (query if action == "search" else passage) or provider.prefix(name, action)

    return prefix


def open_llm(settings: Settings) -> ChatModel | None:
    """The LLM, not yet connected; None where there is none."""
    if settings.llm_provider == NO_LLM:
        return None
    return find(settings.llm_provider).open_llm(settings, _llm_model(settings))


def open_embedder_check(settings: Settings, embedder: CheckedEmbedder) -> Check:
    """A check of the embedder, for the start and for each /ready."""
    provider = find(settings.embedder_provider)
    model = _embedder_model(settings)
    is_there = provider.open_check(settings, provider.target(settings, "EMBEDDER", model))

    def check() -> str | None:
        note = is_there() if is_there else None
        if provider.asked_at_start is not AskedAtStart.NO:
            embedder.check()
        return note

    return check


def open_llm_check(settings: Settings) -> Check | None:
    """A check of the LLM, for each /ready; None without an LLM or without a check."""
    if settings.llm_provider == NO_LLM:
        return None
    provider = find(settings.llm_provider)
    return provider.open_check(settings, provider.target(settings, "LLM", _llm_model(settings)))


def start_waits_for_embedder(settings: Settings) -> bool:
    return find(settings.embedder_provider).asked_at_start is AskedAtStart.AT_ONCE


def _embedder_model(settings: Settings) -> str:
    return settings.embedder_model or find(settings.embedder_provider).default_embedder


def _llm_model(settings: Settings) -> str:
    return settings.llm_model or find(settings.llm_provider).default_llm
