"""OpenAI, or any service that speaks its API: two requests of JSON over one pool of connections.

On urllib3 and not on the openai library, which nothing else here needs: that one takes 0.4 s and
22 MB at each start, and more than twice the CPU for an embedding (2.4 against 1.1 ms of an add).
"""

import json
import ssl
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import numpy as np
import urllib3

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
from app.memory.providers.calls import call
from app.metrics import ModelMeter
from app.trace import headers

DEFAULT_LLM = "gpt-5-mini"
DEFAULT_EMBEDDER = "text-embedding-3-small"
CONNECT_S = 5.0
NO_ANSWER = "The model's service does not answer: see OPENAI_BASE_URL."
POOL = 256  # connections that are kept open: one for each thread
RATE_LIMIT_S = 20  # where a 429 does not say how long


class Refused(Exception):
    """An answer with another status than 200; its text is OpenAI's own and stays inside."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        super().__init__(response.status)
        self.status = response.status
        self.request_id = response.headers.get("x-request-id")
        self.retry_after = response.headers.get("Retry-After", "")
        self.code = _error_code(response.data)


class Client:
    """Posts JSON; safe for many threads."""

    def __init__(self, base_url: str, key: str) -> None:
        self._headers = {
            "Host": urlsplit(base_url).netloc.rpartition("@")[2],
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "User-Agent": "memory-service-api",
        }
        self._send, self._base = _sender(base_url.rstrip("/"))

    def post(self, path: str, body: dict[str, Any], seconds: float) -> Any:
        """The JSON of an answer. Raises Refused, urllib3's HTTPError, or ValueError."""
        response = self._send(
            "POST",
            self._base + path,
            body=json.dumps(body).encode(),
            headers=self._headers | headers(),
            timeout=urllib3.Timeout(connect=min(seconds, CONNECT_S), read=seconds),
            retries=False,  # `call` retries, within one deadline
            redirect=False,  # the texts and the key go where the settings say
        )
        if response.status != 200:
            raise Refused(response)
        return json.loads(response.data)


def connect(settings: Settings) -> Client:
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none"
    return Client(settings.openai_base_url or "https://api.openai.com/v1", key)


def _sender(base_url: str) -> tuple[Callable[..., urllib3.BaseHTTPResponse], str]:
    """What sends a request, and what stands before each path.

    Through the proxy that the environment names, if any; trusts the system's authorities.
    """
    options: dict[str, Any] = {"maxsize": POOL}
    url = urlsplit(base_url)
    if url.scheme == "https":
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())  # a slim image may have none of its own
        options["ssl_context"] = context
    proxy = getproxies().get(url.scheme)
    pools = urllib3.PoolManager(**options)
    if proxy and not proxy_bypass(url.hostname or ""):
        pools = urllib3.ProxyManager(proxy, **options)
    if isinstance(pools, urllib3.ProxyManager) and url.scheme == "http":
        return pools.urlopen, base_url  # such a proxy is told the whole address
    return pools.connection_from_url(base_url).urlopen, url.path


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
    match error:
        case Refused():
            return _of_status(error, model)
        case urllib3.exceptions.NewConnectionError():  # to urllib3 it is a timeout too
            return ProviderUnavailable(NO_ANSWER)
        case urllib3.exceptions.TimeoutError():
            return ProviderTimeout(f"The model {model} did not answer in time.")
        case urllib3.exceptions.HTTPError():
            return ProviderUnavailable(NO_ANSWER)
    return ProviderBadAnswer(f"The model {model} gave an answer that cannot be used.")


def _of_status(refused: Refused, model: str) -> ServiceError:
    match refused.status:
        case 401 | 403:
            return ProviderAuthFailed("The model's service refuses the key: check OPENAI_API_KEY.")
        case 429 if refused.code == "insufficient_quota":
            return ProviderQuotaExceeded("The quota of the OpenAI account is used up.")
        case 429:
            given = refused.retry_after
            seconds = int(given) if given.isdecimal() else RATE_LIMIT_S
            return ProviderRateLimited("The model's service is rate limited.", seconds)
        case 404:
            return ProviderRefused(f"The model's service does not know the model {model}.")
        case status if status >= 500:
            return ProviderUnavailable(NO_ANSWER)
    return ProviderRefused(f"The model {model} refused ({refused.status}).")


def _error_code(body: bytes) -> Any:
    try:
        return json.loads(body)["error"]["code"]
    except (ValueError, TypeError, KeyError):
        return None
