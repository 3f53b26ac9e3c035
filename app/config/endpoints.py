"""Chooses the provider, address and key of the LLM and of the embedder."""

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
    """The address of a provider, and the key that it is called with."""

    base_url: str
    key: SecretStr | None


def chosen_providers(given: dict[str, Any]) -> dict[str, Any]:
    """The default providers: they follow from the keys and addresses that are given."""
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
    """The endpoint of the LLM or of the embedder.

    A key goes only to the origin that it was given for. So LLM_BASE_URL is called with LLM_API_KEY,
    and with OPENAI_API_KEY only where it has the scheme, host and port of OPENAI_BASE_URL (by
    default OpenAI's)."""
    provider, own, key = _given(settings, side)
    if provider == "ollama":
        return Endpoint(ollama_root(own or settings.ollama_base_url), key)
    shared = settings.openai_base_url or OPENAI
    if not key and origin(own or shared) == origin(shared):
        key = settings.openai_api_key
    return Endpoint(openai_root(own or shared), key)


def missing_key(settings: Settings, side: Side) -> str | None:
    """The name of the setting that must hold a key, where OpenAI is asked without one."""
    provider, own, _ = _given(settings, side)
    base_url, key = endpoint_of(settings, side)
    if provider != "openai" or key or origin(base_url) != origin(OPENAI):
        return None
    return f"{side.upper()}_API_KEY" if own else "OPENAI_API_KEY"


def _given(settings: Settings, side: Side) -> tuple[str, str | None, SecretStr | None]:
    if side == "llm":
        return settings.llm_provider, settings.llm_base_url, settings.llm_api_key
    return settings.embedder_provider, settings.embedder_base_url, settings.embedder_api_key
