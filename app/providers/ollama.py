"""Ollama, through its own library, which has no timeouts by itself."""

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import httpx
import ollama

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
from app.providers.retry import call

log = logging.getLogger(__name__)

DEFAULT_LLM = "llama3.1:8b"
DEFAULT_EMBEDDER = "nomic-embed-text"
RATE_LIMIT_S = 5
CHECK_S = 2.0
PULL_RETRY_S = 10.0


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
    """Which of the wanted models Ollama has; pulls what is missing, if it may."""

    def __init__(self, host: str, models: Sequence[str]) -> None:
        self._host = host
        self._models = models
        self._progress: dict[str, str] = {}
        self._clients = _Clients(host, CHECK_S)
        self._meter = ModelMeter("list", "ollama/-")

    def check(self) -> None:
        """Raises ModelNotReady, which names a missing model, or that Ollama is down."""
        for model in self._missing(CHECK_S):
            if progress := self._progress.get(model):
                raise ModelNotReady(f"Ollama is still pulling the model {model}: {progress}.")
            raise _not_there(model)

    def pull_in_background(self) -> None:
        threading.Thread(target=self._pull_until_done, name="ollama-pull", daemon=True).start()

    def _missing(self, seconds: float) -> list[str]:
        def request(left: float) -> list[str]:
            found = self._clients.within(left).list().models
            names = {_full(model.model or "") for model in found}
            return [model for model in self._models if _full(model) not in names]

        return call(request, seconds, partial(translate, model="list"), self._meter)

    def _pull_until_done(self) -> None:
        pause = threading.Event()
        while True:
            try:
                for model in self._missing(CHECK_S):
                    self._pull(model)
                return
            except Exception as error:  # Ollama is down or broke off: it will be tried again
                log.warning("pulling models from Ollama failed: %s", type(error).__name__)
                pause.wait(PULL_RETRY_S)

    def _pull(self, model: str) -> None:
        self._progress[model] = "starting"
        log.info("pulling the model %s", model)
        for step in ollama.Client(host=self._host).pull(model, stream=True):
            share = f" {100 * (step.completed or 0) // step.total}%" if step.total else ""
            progress = f"{step.status}{share}"
            if progress != self._progress[model]:
                self._progress[model] = progress
                log.info("pulling the model %s: %s", model, progress)
        log.info("pulled the model %s", model)


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
