"""The kinds of refusals that are known, and what each is to a caller: one table for all services.

The first kind that fits is taken. Services put the same thing under many statuses and in many
words; what is compared are those that their users report.
"""

import json
import math
import re
from collections.abc import Callable
from typing import NamedTuple

from app.errors import (
    EmbedderInputTooLong,
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderContentFiltered,
    ProviderMisconfigured,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTooManyTexts,
    ProviderUnavailable,
    ServiceError,
)
from app.providers import words
from app.providers.asked import Asked
from app.providers.context import context_too_small
from app.providers.refusals import Refusal
from app.providers.retry_after import seconds_to_wait

RATE_LIMIT_S = 20.0  # for callers, where a 429 does not say how long
RATE_LIMIT_PAUSE_S = 1.0  # for ourselves: much longer would not fit into EMBEDDER_TIMEOUT


class Kind(NamedTuple):
    fits: Callable[[Refusal, Asked], bool]
    error: type[ServiceError]
    says: str
    """With what there is to fill in; never the service's own sentences."""


_OF_SIZE = (400, 413, 422, 500)


def _says(pattern: re.Pattern[str], *statuses: int) -> Callable[[Refusal, Asked], bool]:
    """Whether it says so, under one of `statuses` where these are given."""
    return lambda refusal, _: bool(
        (not statuses or refusal.status in statuses) and pattern.search(refusal.words)
    )


def _has(*statuses: int) -> Callable[[Refusal, Asked], bool]:
    return lambda refusal, _: refusal.status in statuses


def _is_quota(refusal: Refusal, _: Asked) -> bool:
    if refusal.status == 402 or words.SURELY_QUOTA & {*refusal.labels.values()}:
        return True
    if refusal.status == 401 or _is_of_a_minute(refusal):
        return False
    return bool(words.QUOTA.search(refusal.words))


def _is_of_a_minute(refusal: Refusal) -> bool:
    """Gemini says "You exceeded your current quota" of each minute's too."""
    if refusal.status != 429:
        return False
    if seconds_to_wait(refusal.headers, refusal.words) is not None:
        return True
    return "RESOURCE_EXHAUSTED" in refusal.labels.values() and "PerDay" not in refusal.words


def _is_rate_limit(refusal: Refusal, _: Asked) -> bool:
    return refusal.status == 429 or bool(
        refusal.status in (400, 403, 503) and words.RATE.search(refusal.words)
    )


def _is_batch(refusal: Refusal, asked: Asked) -> bool:
    """Whether an embedder says that it was asked for too many texts at once."""
    of_many = words.BATCH.search(refusal.words) and not words.ONE_TEXT.search(refusal.words)
    return asked.role == "EMBEDDER" and refusal.status in _OF_SIZE and bool(of_many)


def _is_too_long(refusal: Refusal, asked: Asked) -> bool:
    """Whether an embedder says that a text is too long for it."""
    too_long = words.TOO_LONG.search(refusal.words)
    return asked.role == "EMBEDDER" and refusal.status in _OF_SIZE and bool(too_long)


def _is_model(refusal: Refusal, asked: Asked) -> bool:
    if refusal.status not in (200, 400, 403, 404, 422, 503):
        return False
    if words.PARAMETERS.search(refusal.labels.get("param", "")):
        return False
    named = asked.model.lower() in refusal.words.lower() and refusal.status == 404
    return named or bool(words.MODEL.search(refusal.words))


def _is_address(refusal: Refusal, _: Asked) -> bool:
    """What no model's service says of a model: that nothing is there, or somewhere else."""
    if refusal.status in (404, 405, 410) or 300 <= refusal.status < 400:
        return True
    return refusal.status < 500 and bool(words.ADDRESS.search(refusal.words))


_PAGE = (
    "A page for browsers is at this address ({shown}), of another service, a login or a proxy: see "
    "{address}; {usual}."
)

KINDS = (
    Kind(
        _has(407),
        ProviderUnavailable,
        "The proxy of {proxy} asks for a password on the way to {address}.",
    ),
    Kind(
        _is_quota,
        ProviderQuotaExceeded,
        "The quota of the account at the model's service is used up, or its balance: the key "
        "of {key} is good ({shown}).",
    ),
    Kind(
        _says(words.FILTERED, 200, 400, 403, 422, 451, 500),
        ProviderContentFiltered,
        "The content filter of the model's service refuses this text ({shown}).",
    ),
    Kind(
        _is_batch,
        ProviderTooManyTexts,
        "The model {model} does not take so many texts at once ({shown}): see EMBEDDER_BATCH.",
    ),
    Kind(
        _is_too_long,
        EmbedderInputTooLong,
        "The model {model} does not take a text of this length ({shown}): see EMBEDDER_MAX_TOKENS.",
    ),
    Kind(
        _says(words.STREAM, 400, 422),
        ProviderRefused,
        "The model {model} answers in a stream alone, or must be told not to think ({shown}): see "
        'LLM_EXTRA_BODY, such as {{"enable_thinking": false}}, or take another model.',
    ),
    Kind(
        _says(words.REGION, 400, 403),
        ProviderMisconfigured,
        "The model's service does not serve the country that it is asked from ({shown}).",
    ),
    Kind(
        _is_model,
        ProviderMisconfigured,
        "{service} does not know the model {model} ({shown}): see {role}_MODEL.",
    ),
    Kind(
        _has(413),
        ProviderRefused,
        "{service} does not take a request of this size for the model {model} ({shown}).",
    ),
    Kind(lambda refusal, _: refusal.is_page and refusal.status < 300, ProviderBadAnswer, _PAGE),
    Kind(lambda refusal, _: refusal.is_page and refusal.status < 500, ProviderMisconfigured, _PAGE),
    Kind(
        lambda refusal, _: (
            refusal.status in (401, 403)
            or (refusal.status == 400 and bool(words.KEY.search(refusal.words)))
        ),
        ProviderAuthFailed,
        "{service} refuses the key: check {key} ({shown}).",
    ),
    Kind(_is_rate_limit, ProviderRateLimited, "{service} is rate limited ({shown})."),
    Kind(
        _is_address,
        ProviderMisconfigured,
        "There is no such service at this address ({shown}): see {address}; {usual}.",
    ),
    Kind(
        _says(words.LOADING, 503),
        ProviderUnavailable,
        "{service} is still loading the model {model}.",
    ),
    Kind(
        lambda refusal, _: refusal.status >= 500 or refusal.status in (408, 425),
        ProviderUnavailable,
        "{service} failed ({shown}): see {address}.",
    ),
    Kind(
        _says(words.PARAMETER),
        ProviderRefused,
        "The model {model} does not take the parameter {parameter} ({shown}).",
    ),
    Kind(
        lambda _refusal, _asked: True,
        ProviderRefused,
        "The model {model} refused ({shown}).",
    ),
)


def failure_of(refusal: Refusal, asked: Asked) -> ServiceError:
    """What a caller is told of `refusal`."""
    if asked.role == "LLM" and (small := context_too_small(refusal.words, asked.model)):
        return small
    kind = next(kind for kind in KINDS if kind.fits(refusal, asked))
    names = asked._replace(proxy=asked.proxy or "the system")._asdict()
    detail = kind.says.format(**names, shown=refusal.shown(), parameter=_parameter(refusal))
    if asked.proxy and (refusal.is_page or refusal.status >= 500):
        detail += f" It is asked by way of the proxy of {asked.proxy}; see NO_PROXY."
    wait = seconds_to_wait(refusal.headers, refusal.words)
    if kind.error is ProviderRateLimited:
        told, pause = (RATE_LIMIT_S, RATE_LIMIT_PAUSE_S) if wait is None else (wait, wait)
        return ProviderRateLimited(detail, max(1, math.ceil(told)), pause)
    failure = kind.error(detail)
    if isinstance(failure, ProviderUnavailable) and wait is not None:
        failure.retry_after, failure.pause = max(1, math.ceil(wait)), wait
    return failure


def bad_answer(error: Exception, asked: Asked) -> ProviderBadAnswer:
    """What a caller is told of an answer that is neither what was asked for nor an error."""
    if isinstance(error, json.JSONDecodeError):
        why = f"is no JSON: see {asked.address}; {asked.usual}"
    else:
        why = "cannot be used"
    return ProviderBadAnswer(f"The answer of the model {asked.model} {why}.")


def _parameter(refusal: Refusal) -> str:
    """The one that is refused, where it is of those that are known."""
    named = words.PARAMETERS.search(refusal.labels.get("param", "")) or words.PARAMETERS.search(
        refusal.words
    )
    return named[0].lower() if named else "that it names"
