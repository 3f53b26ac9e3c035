"""Which model is called, and by which settings: the texts of failures name these settings."""

from typing import Literal, NamedTuple

from app.config import Endpoint, Settings
from app.config.outgoing import proxy_for

Role = Literal["LLM", "EMBEDDER"]

_CALLED = ("openai", "ollama")  # the local provider is in this process


class Target(NamedTuple):
    """A model that is called, with what failures say about it."""

    role: Role
    model: str
    service: str
    """The name of its service, at the beginning of a sentence."""
    address: str
    """The setting with its address."""
    key: str
    """The setting with its key."""
    usual: str
    """What the address of such a service looks like, in words."""
    proxy: str = ""
    """The variable with the proxy by which it is called; "" without a proxy."""


def target_of(settings: Settings, role: Role, provider: str, model: str) -> Target:
    """`model` of `provider`, with the names of the settings that are in effect for `role`."""
    own = getattr(settings, f"{role.lower()}_base_url")
    own_key = getattr(settings, f"{role.lower()}_api_key")
    if provider == "ollama":
        address = f"{role}_BASE_URL" if own else "OLLAMA_BASE_URL"
        usual = "it is Ollama's own, such as http://127.0.0.1:11434, without /v1 or /api"
        key, service = f"{role}_API_KEY", "Ollama"
        return Target(role, model, service, address, key, usual, _proxy(settings, role, provider))
    address = f"{role}_BASE_URL" if own else "OPENAI_BASE_URL"
    has_own_key = own_key or (own and not endpoint(settings, role).key)
    key = f"{role}_API_KEY" if has_own_key else "OPENAI_API_KEY"
    usual = "it mostly ends in /v1, and nothing such as /chat/completions comes after it"
    service = "The model's service"
    return Target(role, model, service, address, key, usual, _proxy(settings, role, provider))


def _proxy(settings: Settings, role: Role, provider: str) -> str:
    """The variable with the proxy. Raises StartupError for a proxy that cannot be used."""
    if provider not in _CALLED:
        return ""
    proxy = proxy_for(endpoint(settings, role).base_url)
    return proxy.name if proxy else ""


def endpoint(settings: Settings, role: Role) -> Endpoint:
    return settings.llm_endpoint if role == "LLM" else settings.embedder_endpoint
