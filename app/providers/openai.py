"""OpenAI, or any service that speaks its API, through its own library."""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64decode
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from app.config import Settings
from app.errors import (
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.observability.metrics import ModelMeter
from app.providers.base import Provider
from app.providers.retry import call

if TYPE_CHECKING:
    from openai import APIStatusError

    from app.providers.openai_library import Library

log = logging.getLogger(__name__)

NO_ANSWER = "The model's service does not answer: see OPENAI_BASE_URL."
RATE_LIMIT_S = 20  # where a 429 does not say how long


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
        """The JSON of an answer. Raises the library's APIError, TimeoutError, or ValueError."""
        deadline = time.monotonic() + seconds
        library = self._library or self._open(seconds)
        return library.post(path, body, deadline - time.monotonic())

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
                from app.providers.openai_library import Library

                self._library = Library(self._base_url, self._key)
            return self._library
        except Exception as error:
            kind = type(error).__name__
            log.warning("OPENAI_BASE_URL, or the proxy for it, cannot be used: %s", kind)
            raise ConnectionError from error
        finally:
            self._opening.release()


def connect(settings: Settings) -> Client:
    """The same client for the same address and key. Connects to nothing yet."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none"
    return _client(settings.openai_base_url or "https://api.openai.com/v1", key)


_client = cache(Client)


class OpenAIEmbeddings:
    """Vectors by POST /embeddings, asked for as base64: a third of the cost of floats."""

    def __init__(self, client: Client, model: str, seconds: float) -> None:
        self.name = f"openai/{model}"
        self._client = client
        self._model = model
        self._seconds = seconds
        self._meter = ModelMeter("embedder", self.name)

    def __call__(self, texts: list[str]) -> list[list[float]]:
        body = {"input": texts, "model": self._model, "encoding_format": "base64"}

        def request(left: float) -> list[list[float]]:
            answer = self._client.post("/embeddings", body, left)
            found = sorted(answer["data"], key=lambda e: e["index"])
            self._meter.tokens(_used(answer, "prompt_tokens"))
            return [_vector(one["embedding"]) for one in found]

        return call(request, self._seconds, partial(translate, model=self._model), self._meter)


def _vector(given: Any) -> list[float]:
    if isinstance(given, str):
        vector: list[float] = np.frombuffer(b64decode(given), "<f4").tolist()
        return vector
    return [float(number) for number in given]  # some services know floats alone


def _used(answer: dict[str, Any], name: str) -> Any:
    """How many tokens the service says it used, if it says so."""
    usage = answer.get("usage")
    return usage.get(name) if isinstance(usage, dict) else None


class OpenAIChat:
    """Answers by POST /chat/completions."""

    def __init__(self, client: Client, model: str) -> None:
        self.name = f"openai/{model}"
        self._client = client
        self._model = model
        self._meter = ModelMeter("llm", self.name)

    def __call__(self, messages: Any, response_format: Any, seconds: float) -> str:
        body = {"messages": messages, "model": self._model}
        if response_format:
            body["response_format"] = response_format

        def request(left: float) -> str:
            answer = self._client.post("/chat/completions", body, left)
            text = answer["choices"][0]["message"].get("content") or ""
            if not isinstance(text, str):
                raise ValueError("the content is not a text")
            taken, given = _used(answer, "prompt_tokens"), _used(answer, "completion_tokens")
            self._meter.tokens(taken, given)
            return text

        return call(request, seconds, partial(translate, model=self._model), self._meter)


def translate(error: Exception, model: str) -> ServiceError:
    """In our words alone: OpenAI's own may quote the key or the text."""
    import openai  # imported already: it is what failed

    match error:
        case openai.APIStatusError():
            return _of_status(error, model)
        case openai.APITimeoutError() | TimeoutError():
            return ProviderTimeout(f"The model {model} did not answer in time.")
        case openai.APIConnectionError() | ConnectionError():
            return ProviderUnavailable(NO_ANSWER)
    return ProviderBadAnswer(f"The model {model} gave an answer that cannot be used.")


def _of_status(refused: APIStatusError, model: str) -> ServiceError:
    match refused.status_code:
        case 401 | 403:
            return ProviderAuthFailed("The model's service refuses the key: check OPENAI_API_KEY.")
        case 429 if refused.code == "insufficient_quota":
            return ProviderQuotaExceeded("The quota of the OpenAI account is used up.")
        case 429:
            given = refused.response.headers.get("Retry-After", "")
            seconds = int(given) if given.isdecimal() else RATE_LIMIT_S
            return ProviderRateLimited("The model's service is rate limited.", seconds)
        case 404:
            return ProviderRefused(f"The model's service does not know the model {model}.")
        case status if status >= 500:
            return ProviderUnavailable(NO_ANSWER)
    return ProviderRefused(f"The model {model} refused ({refused.status_code}).")


class OpenAI(Provider):
    name = "openai"
    default_embedder = "text-embedding-3-small"
    default_llm = "gpt-5-mini"

    def open_embedder(self, settings: Settings, model: str) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(connect(settings), model, settings.embedder_timeout)

    def open_llm(self, settings: Settings, model: str) -> OpenAIChat:
        return OpenAIChat(connect(settings), model)


PROVIDER = OpenAI()
