"""Ollama's own library, which has no timeouts by itself."""

import ollama

from app.observability.trace import pass_on


class Clients:
    """A client for each time limit: the library sets it for all calls of a client."""

    def __init__(self, host: str, seconds: float) -> None:
        self._host = host
        self._seconds = seconds
        self._usual = self._client(seconds)

    def within(self, seconds: float) -> ollama.Client:
        if seconds >= self._seconds:
            return self._usual
        return self._client(max(seconds, 0.1))

    def _client(self, seconds: float) -> ollama.Client:
        return ollama.Client(host=self._host, timeout=seconds, event_hooks={"request": [pass_on]})
