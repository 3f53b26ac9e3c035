"""Ollama's own library, which has no timeouts by itself."""

from typing import Any
from urllib.parse import unquote, urlsplit

import ollama

from app.config import Endpoint
from app.config.outgoing import httpx_options
from app.observability.trace import pass_on


class Clients:
    """A client for each time limit: the library sets it for all calls of a client."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """Raises StartupError for a proxy that cannot be used."""
        self._seconds = seconds
        self._options = _options(endpoint)
        self._usual = self._client(seconds)

    def within(self, seconds: float) -> ollama.Client:
        if seconds >= self._seconds:
            return self._usual
        return self._client(max(seconds, 0.1))

    def chat(self, body: dict[str, Any], seconds: float) -> ollama.ChatResponse:
        """POST /api/chat. The library's own `chat` knows neither truncate nor what is to come."""
        client = self.within(seconds)
        return client._request(ollama.ChatResponse, "POST", "/api/chat", json=body)

    def unlimited(self) -> ollama.Client:
        """For a pull, which takes as long as it takes."""
        return self._client(None)

    def _client(self, seconds: float | None) -> ollama.Client:
        hooks = {"request": [pass_on]}
        return ollama.Client(timeout=seconds, event_hooks=hooks, **self._options)


def _options(endpoint: Endpoint) -> dict[str, Any]:
    options = {"host": endpoint.base_url, **httpx_options(endpoint.base_url)}
    address = urlsplit(endpoint.base_url)
    if endpoint.key:
        options["headers"] = {"Authorization": f"Bearer {endpoint.key.get_secret_value()}"}
    elif address.username:  # the library leaves it out of the address
        options["auth"] = (unquote(address.username), unquote(address.password or ""))
    return options
