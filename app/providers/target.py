"""Which model is called, and by which settings: the texts of failures name these settings."""

from typing import Literal, NamedTuple

from app.config import Endpoint, Settings
from app.config.outgoing import proxy_for

Role = Literal["LLM", "EMBEDDER"]


class Remote(NamedTuple):
    """The service of a provider that is called over HTTP."""

    service: str
    """Its name, at the beginning of a sentence."""
    usual: str
    """What its address looks like, in words."""
    address: str
    """The setting with the address that LLM and embedder may share."""
    key: str | None = None
    """The setting with the key that LLM and embedder may share, if there is one."""


class Target(NamedTuple):
    """A model that is called, with what failures say about it."""

    role: Role
    model: str
    service: str = ""
    """The name of its service, at the beginning of a sentence; "" for a model in this process."""
    address: str = ""
    """The setting with its address."""
    key: str = ""
    """The setting with its key."""
    usual: str = ""
    """What the address of such a service looks like, in words."""
    proxy: str = ""
    """The variable with the proxy by which it is called; "" without a proxy."""


def target_of(settings: Settings, role: Role, model: str, remote: Remote | None) -> Target:
    """`model` of the service `remote`, with the names of the settings that are in effect for
    `role`. Raises StartupError for a proxy that cannot be used."""
    if remote is None:
        return Target(role, model)
    own = getattr(settings, f"{role.lower()}_base_url")
    own_key = getattr(settings, f"{role.lower()}_api_key")
    address = f"{role}_BASE_URL" if own else remote.address
    key = f"{role}_API_KEY"
    if remote.key and not own_key and not (own and not endpoint(settings, role).key):
        key = remote.key
    proxy = proxy_for(endpoint(settings, role).base_url)
    by = proxy.name if proxy else ""
    return Target(role, model, remote.service, address, key, remote.usual, by)


def endpoint(settings: Settings, role: Role) -> Endpoint:
    return settings.llm_endpoint if role == "LLM" else settings.embedder_endpoint
