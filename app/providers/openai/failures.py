"""What a service that speaks OpenAI's API failed with, in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from app.providers.context import context_too_small

if TYPE_CHECKING:
    from openai import APIStatusError

NO_ANSWER = "The model's service does not answer: see OPENAI_BASE_URL."
RATE_LIMIT_S = 20  # where a 429 does not say how long


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
    if too_small := context_too_small(refused.response.text, model):
        return too_small
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
