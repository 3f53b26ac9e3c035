"""OpenAI, or any service that speaks its API, through the openai library."""

from functools import partial
from typing import Any

import openai

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
from app.trace import pass_on

DEFAULT_LLM = "gpt-5-mini"
DEFAULT_EMBEDDER = "text-embedding-3-small"
RATE_LIMIT_S = 20  # where a 429 does not say how long


def connect(settings: Settings) -> openai.OpenAI:
    return openai.OpenAI(
        # A compatible service of one's own may want no key; the library wants one all the same.
        api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none",
        # Said in full, so that no variable of the library's own can redirect the texts.
        base_url=settings.openai_base_url or "https://api.openai.com/v1",
        max_retries=0,  # `call` retries, within one deadline
        http_client=openai.DefaultHttpxClient(event_hooks={"request": [pass_on]}),
    )


class OpenAIEmbeddings:
    """Vectors by POST /embeddings, asked for as base64: half the cost of floats."""

    def __init__(self, client: openai.OpenAI, model: str, seconds: float) -> None:
        self.name = f"openai/{model}"
        self._client = client
        self._model = model
        self._seconds = seconds
        self._meter = ModelMeter("embedder", self.name)

    def __call__(self, texts: list[str]) -> list[list[float]]:
        def request(left: float) -> list[list[float]]:
            # Without encoding_format the library itself asks for base64, and decodes it.
            answer = self._client.embeddings.create(input=texts, model=self._model, timeout=left)
            self._meter.tokens(answer.usage.prompt_tokens if answer.usage else None)
            return [entry.embedding for entry in sorted(answer.data, key=lambda e: e.index)]

        return call(request, self._seconds, partial(translate, model=self._model), self._meter)


class OpenAIChat:
    """Answers by POST /chat/completions."""

    def __init__(self, client: openai.OpenAI, model: str) -> None:
        self.name = f"openai/{model}"
        self._client = client
        self._model = model
        self._meter = ModelMeter("llm", self.name)

    def __call__(self, messages: Any, response_format: Any, seconds: float) -> str:
        def request(left: float) -> str:
            answer = self._client.chat.completions.create(
                model=self._model,
                messages=messages,
                response_format=response_format or openai.omit,
                timeout=left,
            )
            if used := answer.usage:
                self._meter.tokens(used.prompt_tokens, used.completion_tokens)
            return answer.choices[0].message.content or ""

        return call(request, seconds, partial(translate, model=self._model), self._meter)


def translate(error: Exception, model: str) -> ServiceError:
    """In our words alone: OpenAI's own may quote the key or the text."""
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return ProviderAuthFailed("The model's service refuses the key: check OPENAI_API_KEY.")
        case openai.RateLimitError() if error.code == "insufficient_quota":
            return ProviderQuotaExceeded("The quota of the OpenAI account is used up.")
        case openai.RateLimitError():
            return ProviderRateLimited("The model's service is rate limited.", _retry_after(error))
        case openai.NotFoundError():
            return ProviderRefused(f"The model's service does not know the model {model}.")
        case openai.APITimeoutError():
            return ProviderTimeout(f"The model {model} did not answer in time.")
        case openai.APIConnectionError() | openai.InternalServerError():
            return ProviderUnavailable("The model's service does not answer: see OPENAI_BASE_URL.")
        case openai.APIStatusError():
            return ProviderRefused(f"The model {model} refused ({error.status_code}).")
    return ProviderBadAnswer(f"The model {model} gave an answer that cannot be used.")


def _retry_after(error: openai.RateLimitError) -> int:
    given = error.response.headers.get("Retry-After", "")
    return int(given) if given.isdecimal() else RATE_LIMIT_S
