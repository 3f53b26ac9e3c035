"""The client for an address: it opens the openai library at the first call."""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from app.config import Endpoint
from app.config.outgoing import proxy_for

if TYPE_CHECKING:
    from app.providers.openai.library import Library

log = logging.getLogger(__name__)


class Client:
    """Posts JSON; safe for many threads.

    The library is imported at the first call, because the import takes 0.3 s, for which /health
    need not wait. For an embedder the start makes that call, in a thread.
    """

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._key = key
        self._opening = threading.Lock()
        self._library: Library | None = None

    def post(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        """POST `body`; the JSON of the answer. Raises the library's APIError, Refused,
        TimeoutError, or ValueError."""
        deadline = time.monotonic() + seconds
        library = self._library or self._open(seconds)
        return library.post(path, body, deadline - time.monotonic())

    def get(self, path: str, seconds: float) -> Any:
        """GET `path`; for the result and errors see `post`."""
        deadline = time.monotonic() + seconds
        library = self._library or self._open(seconds)
        return library.get(path, deadline - time.monotonic())

    def close(self) -> None:
        """Close its connections."""
        if self._library:
            self._library.close()

    def _open(self, seconds: float) -> Library:
        """Open the library, once. Other threads wait meanwhile."""
        if not self._opening.acquire(timeout=seconds):
            raise TimeoutError("the openai library is still being imported")
        try:
            if self._library is None:
                from app.providers.openai.library import Library

                self._library = Library(self._base_url, self._key)
            return self._library
        except Exception as error:
            kind = type(error).__name__
            log.warning("OPENAI_BASE_URL, or the proxy for it, cannot be used: %s", kind)
            raise ConnectionError from error
        finally:
            self._opening.release()


def connect(endpoint: Endpoint) -> Client:
    """The client for an address and key, the same one each time; not yet connected.

    Raises StartupError for a proxy that cannot be used."""
    proxy_for(endpoint.base_url)  # so that it is raised now, and not at the first call
    return _client(endpoint.base_url, endpoint.key.get_secret_value() if endpoint.key else "none")


_client = cache(Client)


def used(answer: dict[str, Any], name: str) -> Any:
    """The number of used tokens that the service reports under `name`; None if it does not."""
    usage = answer.get("usage")
    return usage.get(name) if isinstance(usage, dict) else None
