"""Ollama, through its own library, which has no timeouts by itself."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import httpx
import ollama

from app.config import Settings
from app.errors import (
    ModelNotReady,
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.observability.metrics import ModelMeter
from app.observability.trace import pass_on
from app.providers.base import AskedAtStart, Check, Provider
from app.providers.ollama_pull import OllamaPull
from app.providers.retry import call

RATE_LIMIT_S = 5
CHECK_S = 2.0


class OllamaEmbeddings:
    """Vectors by POST /api/embed."""

    def __init__(self, host: str, model: str, seconds: float) -> None:
        self.name = f"ollama/{model}"
        self._model = model
        self._seconds = seconds
        self._clients = _Clients(host, seconds)
        self._meter = ModelMeter("embedder", self.name)

    def __call__(self, texts: list[str]) -> list[list[float]]:
        def request(left: float) -> list[list[float]]:
            answer = self._clients.within(left).embed(model=self._model, input=texts)
            self._meter.tokens(answer.prompt_eval_count)
            return [list(vector) for vector in answer.embeddings]

        return call(request, self._seconds, partial(translate, model=self._model), self._meter)


class OllamaChat:
    """Answers by POST /api/chat."""

    def __init__(self, host: str, model: str, seconds: float) -> None:
        self.name = f"ollama/{model}"
        self._model = model
        self._clients = _Clients(host, seconds)
        self._meter = ModelMeter("llm", self.name)

    def __call__(self, messages: Any, response_format: Any, seconds: float) -> str:
        def request(left: float) -> str:
            shape: Literal["json"] | None = "json" if response_format else None
            answer = self._clients.within(left).chat(self._model, messages, format=shape)
            self._meter.tokens(answer.prompt_eval_count, answer.eval_count)
            return answer.message.content or ""

        return call(request, seconds, partial(translate, model=self._model), self._meter)


class OllamaModels:
    """Which of the wanted models Ollama has, or is pulling."""

    def __init__(self, host: str, models: Sequence[str]) -> None:
        self._models = models
        self._clients = _Clients(host, CHECK_S)
        self._meter = ModelMeter("list", "ollama/-")
        self.pull = OllamaPull(host, self.missing)

    def check(self) -> None:
        """Raises ModelNotReady, which names a missing model, or that Ollama is down."""
        for model in self.missing():
            if progress := self.pull.progress.get(model):
                raise ModelNotReady(f"Ollama is still pulling the model {model}: {progress}.")
            raise _not_there(model)

    def missing(self) -> list[str]:
        def request(left: float) -> list[str]:
            found = self._clients.within(left).list().models
            names = {_full(model.model or "") for model in found}
            return [model for model in self._models if _full(model) not in names]

        return call(request, CHECK_S, partial(translate, model="list"), self._meter)


class _Clients:
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


def translate(error: Exception, model: str) -> ServiceError:
    match error:
        case ollama.ResponseError():
            return _of_status(error.status_code, model)
        case httpx.TimeoutException():
            return ProviderTimeout(f"The model {model} did not answer in time.")
        case ConnectionError() | httpx.TransportError():
            return ProviderUnavailable("Ollama does not answer: see OLLAMA_BASE_URL.")
    return ProviderBadAnswer(f"The model {model} gave an answer that cannot be used.")


def _of_status(status: int, model: str) -> ServiceError:
    if status == 404:
        return _not_there(model)
    if status in (401, 403):
        return ProviderAuthFailed("Ollama refuses the request: it asks for authorization.")
    if status == 429:
        return ProviderRateLimited("Ollama is rate limited.", RATE_LIMIT_S)
    if status >= 500:
        return ProviderUnavailable(f"Ollama failed ({status}).")
    return ProviderRefused(f"The model {model} refused ({status}).")


def _not_there(model: str) -> ModelNotReady:
    return ModelNotReady(
        f"Ollama does not have the model {model}: run 'ollama pull {model}', or set "
        "OLLAMA_PULL=true."
    )


def _full(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


class Ollama(Provider):
    name = "ollama"
    default_embedder = "nomic-embed-text"
    default_llm = "llama3.1:8b"
    asked_at_start = AskedAtStart.NO

    def open_embedder(self, settings: Settings, model: str) -> OllamaEmbeddings:
        return OllamaEmbeddings(settings.ollama_base_url, model, settings.embedder_timeout)

    def open_llm(self, settings: Settings, model: str) -> OllamaChat:
        return OllamaChat(settings.ollama_base_url, model, settings.llm_timeout)

    def open_check(self, settings: Settings, models: Sequence[str]) -> Check:
        """Pulls what is missing, in the background, if OLLAMA_PULL says so."""
        wanted = OllamaModels(settings.ollama_base_url, models)
        if settings.ollama_pull:
            wanted.pull.start()
        return wanted.check


PROVIDER = Ollama()
