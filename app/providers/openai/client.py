"""The one client of an address: the openai library, opened at the first call."""

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

    The library is imported at the first call: it takes 0.3 s, and /health need not wait for it.
    To an embedder the start itself makes that call, in a thread.
    """

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._key = key
        self._opening = threading.Lock()
        self._library: Library | None = None

    def post(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        """The JSON of an answer. Raises the library's APIError, Refused, TimeoutError, or
        ValueError."""
        deadline = time.monotonic() + seconds
        library = self._library or self._open(seconds)
        return library.post(path, body, deadline - time.monotonic())

    def get(self, path: str, seconds: float) -> Any:
        """The same without a body."""
        deadline = time.monotonic() + seconds
        library = self._library or self._open(seconds)
        return library.get(path, deadline - time.monotonic())

    def close(self) -> None:
        """Closes its connections, for who has several in one process."""
        if self._library:
            self._library.close()

    def _open(self, seconds: float) -> Library:
        """The one for the life of the process; who comes meanwhile waits for it."""
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
    """The same client for the same address and key. Connects to nothing yet.

    Raises StartupError for a proxy that cannot be used."""
    proxy_for(endpoint.base_url)  # now, and not at the first call
    return _client(endpoint.base_url, endpoint.key.get_secret_value() if endpoint.key else "none")


_client = cache(Client)


def used(answer: dict[str, Any], name: str) -> Any:
    """How many tokens the service says it used, if it says so."""
    usage = answer.get("usage")
    return usage.get(name) if isinstance(usage, dict) else None
