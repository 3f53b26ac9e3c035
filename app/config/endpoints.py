"""Which provider the chat and the embeddings come from, at which address, with which key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from app.config.addresses import ollama_root, openai_root, origin

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.config.settings import Settings

OPENAI = "https://api.openai.com/v1"

Side = Literal["llm", "embedder"]
SIDES: tuple[Side, Side] = ("llm", "embedder")


class Endpoint(NamedTuple):
    """Where a model's service is asked, and with which key."""

    base_url: str
    key: SecretStr | None


def chosen_providers(given: dict[str, Any]) -> dict[str, Any]:
    """What is not said follows from what is there: a key, or an address."""
    return {
        "llm_provider": _chosen(given, "llm", otherwise="none"),
        "embedder_provider": _chosen(given, "embedder", otherwise="local"),
    }


def _chosen(given: dict[str, Any], side: Side, otherwise: str) -> str:
    if given.get(f"{side}_base_url") or given.get(f"{side}_api_key") or given.get("openai_api_key"):
        return "openai"
    if given.get("ollama_base_url"):
        return "ollama"
    return "openai" if given.get("openai_base_url") else otherwise


def endpoint_of(settings: Settings, side: Side) -> Endpoint:
    """Of the chat or of the embeddings. A key goes only to whom it was given for: an address of
    its own takes the key of its own, and OPENAI_API_KEY where its scheme, host and port are those
    of OPENAI_BASE_URL (of OpenAI where that is not set)."""
    provider, own, key = _given(settings, side)
    if provider == "ollama":
        return Endpoint(ollama_root(own or settings.ollama_base_url), key)
    shared = settings.openai_base_url or OPENAI
    if not key and origin(own or shared) == origin(shared):
        key = settings.openai_api_key
    return Endpoint(openai_root(own or shared), key)


def missing_key(settings: Settings, side: Side) -> str | None:
    """The name of the key that OpenAI would ask for, where there is none."""
    provider, own, _ = _given(settings, side)
    base_url, key = endpoint_of(settings, side)
    if provider != "openai" or key or origin(base_url) != origin(OPENAI):
        return None
    return f"{side.upper()}_API_KEY" if own else "OPENAI_API_KEY"


def _given(settings: Settings, side: Side) -> tuple[str, str | None, SecretStr | None]:
    if side == "llm":
        return settings.llm_provider, settings.llm_base_url, settings.llm_api_key
    return settings.embedder_provider, settings.embedder_base_url, settings.embedder_api_key
