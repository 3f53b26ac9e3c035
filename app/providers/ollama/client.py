"""Wraps Ollama's own library, and adds deadlines to it."""

from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import ollama

from app.config import Endpoint
from app.config.deadline import deadline_hooks
from app.config.outgoing import httpx_options
from app.observability.trace import pass_on
from app.providers.ollama.failures import raise_refusals

T = TypeVar("T")


class Clients:
    """A client for calls, each with a time limit of its own, and one without a limit for pulls."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """`seconds`: the default limit. Raises StartupError for a proxy that cannot be used."""
        self._options = _options(endpoint)
        self._usual = self._client(seconds)

    def chat(self, body: dict[str, Any], seconds: float) -> ollama.ChatResponse:
        """POST /api/chat. The library's own `chat` does not take `truncate` or unknown fields."""
        return self._asked(ollama.ChatResponse, "POST", "/api/chat", seconds, json=body)

    def embed(self, body: dict[str, Any], seconds: float) -> ollama.EmbedResponse:
        return self._asked(ollama.EmbedResponse, "POST", "/api/embed", seconds, json=body)

    def list(self, seconds: float) -> ollama.ListResponse:
        return self._asked(ollama.ListResponse, "GET", "/api/tags", seconds)

    def _asked(self, of: type[T], method: str, path: str, seconds: float, **body: Any) -> T:
        """Call by the library's internal method, because its public ones take no time limit."""
        if seconds <= 0:
            raise TimeoutError
        answer: T = self._usual._request(of, method, path, timeout=seconds, **body)
        return answer

    def close(self) -> None:
        """Close its connections."""
        self._usual.close()  # type: ignore[no-untyped-call]  # as the library has it

    def unlimited(self) -> ollama.Client:
        """A client without a time limit, for pulls, whose answers are streamed."""
        return self._client(None)

    def _client(self, seconds: float | None) -> ollama.Client:
        hooks: dict[str, list[Any]] = {"request": [pass_on]}
        if seconds is not None:
            begin, end = deadline_hooks(httpx)
            hooks = {"request": [pass_on, begin], "response": [end, raise_refusals]}
        return ollama.Client(timeout=seconds, event_hooks=hooks, **self._options)


def _options(endpoint: Endpoint) -> dict[str, Any]:
    options = {
        "host": endpoint.base_url,
        "follow_redirects": False,  # texts and keys go only to the configured address
        **httpx_options(endpoint.base_url),
    }
    address = urlsplit(endpoint.base_url)
    if endpoint.key:
        options["headers"] = {"Authorization": f"Bearer {endpoint.key.get_secret_value()}"}
    elif address.username:  # the library drops it from the address
        options["auth"] = (unquote(address.username), unquote(address.password or ""))
    return options
