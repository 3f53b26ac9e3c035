"""What Ollama failed with, in our words."""

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
from app.providers.context import context_too_small

RATE_LIMIT_S = 5


def translate(error: Exception, model: str) -> ServiceError:
    match error:
        case ollama.ResponseError():
            too_small = context_too_small(error.error, model)
            return too_small or _of_status(error.status_code, model)
        case httpx.TimeoutException():
            return ProviderTimeout(f"The model {model} did not answer in time.")
        case ConnectionError() | httpx.TransportError():
            return ProviderUnavailable("Ollama does not answer: see OLLAMA_BASE_URL.")
    return ProviderBadAnswer(f"The model {model} gave an answer that cannot be used.")


def _of_status(status: int, model: str) -> ServiceError:
    if status == 404:
        return not_there(model)
    if status in (401, 403):
        return ProviderAuthFailed("Ollama refuses the request: it asks for authorization.")
    if status == 429:
        return ProviderRateLimited("Ollama is rate limited.", RATE_LIMIT_S)
    if status >= 500:
        return ProviderUnavailable(f"Ollama failed ({status}).")
    return ProviderRefused(f"The model {model} refused ({status}).")


def not_there(model: str) -> ModelNotReady:
    return ModelNotReady(
        f"Ollama does not have the model {model}: run 'ollama pull {model}', or set "
        "OLLAMA_PULL=true."
    )
