"""Turns refusals of all services into errors, by one table of the known kinds.

The first kind that fits is taken. Services report the same problem with different statuses and
words; the table has those that their users have seen.
"""

import json
import math
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
from app.providers import signs, words
from app.providers.context import context_too_small
from app.providers.refusals import Refusal
from app.providers.retry_after import seconds_asked, seconds_to_wait
from app.providers.target import Target

# Where a 429 does not say how long to wait: what callers are told, and what we wait ourselves. A
# much longer wait would not fit into EMBEDDER_TIMEOUT.
RATE_LIMIT_S = 20.0
RATE_LIMIT_PAUSE_S = 1.0


class Kind(NamedTuple):
    fits: signs.Sign
    error: type[ServiceError]
    says: str
    """The text of the error, with places to fill in; never the service's own sentences."""


_FAILED = "{service} failed ({shown}): see {address}."
_LIMITED = "{service} is rate limited ({shown})."
_PAGE = (
    "A page for browsers is at this address ({shown}), of another service, a login or a proxy: see "
    "{address}; {usual}."
)

KINDS = (
    Kind(
        signs.has(407),
        ProviderUnavailable,
        "The proxy of {proxy} asks for a password on the way to {address}.",
    ),
    Kind(
        signs.is_quota,
        ProviderQuotaExceeded,
        "The quota of the account at the model's service is used up, or its balance: the key "
        "of {key} is good ({shown}).",
    ),
    Kind(
        signs.says(words.FILTERED, 200, 400, 403, 422, 451, 500),
        ProviderContentFiltered,
        "The content filter of the model's service refuses this text ({shown}).",
    ),
    Kind(
        signs.is_batch,
        ProviderTooManyTexts,
        "The model {model} does not take so many texts at once ({shown}): see EMBEDDER_BATCH.",
    ),
    Kind(
        signs.is_too_long,
        EmbedderInputTooLong,
        "The model {model} does not take a text of this length ({shown}): see EMBEDDER_MAX_TOKENS.",
    ),
    Kind(
        signs.says(words.STREAM, 400, 422),
        ProviderRefused,
        "The model {model} answers in a stream alone, or must be told not to think ({shown}): see "
        'LLM_EXTRA_BODY, such as {{"enable_thinking": false}}, or take another model.',
    ),
    Kind(
        signs.says(words.REGION, 400, 403),
        ProviderMisconfigured,
        "The model's service does not serve the country that it is asked from ({shown}).",
    ),
    Kind(
        signs.says(words.OTHER_USE, 400, 403, 404, 422, 500, 501),
        ProviderMisconfigured,
        "{service} does not serve the model {model} for {use} ({shown}): see {role}_MODEL, and how "
        "its server was started.",
    ),
    Kind(
        signs.is_model,
        ProviderMisconfigured,
        "{service} does not know the model {model} ({shown}): see {role}_MODEL.",
    ),
    Kind(
        signs.has(413),
        ProviderRefused,
        "{service} does not take a request of this size for the model {model} ({shown}).",
    ),
    Kind(
        lambda refusal, _: 300 <= refusal.status < 400,
        ProviderMisconfigured,
        "The address leads on to another one ({shown}), where no key and no text is sent: name "
        "that in {address}, often with https:// in the place of http://; {usual}.",
    ),
    Kind(
        signs.says(words.TLS_WANTED, 400),
        ProviderMisconfigured,
        "{service} speaks TLS alone ({shown}), so its address begins with https:// and not "
        "http://: see {address}.",
    ),
    Kind(signs.has(429), ProviderRateLimited, _LIMITED),  # a proxy says it with a page
    Kind(lambda refusal, _: refusal.is_page and refusal.status < 300, ProviderBadAnswer, _PAGE),
    Kind(lambda refusal, _: refusal.is_page and refusal.status < 500, ProviderMisconfigured, _PAGE),
    Kind(
        lambda refusal, _: (
            refusal.status in (401, 403)
            or (refusal.status in (200, 400) and bool(words.KEY.search(refusal.words)))
        ),
        ProviderAuthFailed,
        "{service} refuses the key: check {key} ({shown}).",
    ),
    Kind(signs.is_rate_limit, ProviderRateLimited, _LIMITED),
    Kind(
        signs.says(words.MEMORY, 500, 503, 507),
        ProviderUnavailable,
        "{service} has too little memory for the model {model} ({shown}): give it more, take a "
        "smaller model by {role}_MODEL, or a smaller context (Ollama: OLLAMA_NUM_CTX).",
    ),
    Kind(
        signs.says(words.CRASHED, 500),
        ProviderUnavailable,
        "{service} cannot run the model {model} ({shown}): see its log, and its version.",
    ),
    Kind(signs.says(words.BUSY, 200, 400, 403, 409), ProviderUnavailable, _FAILED),
    Kind(
        signs.is_address,
        ProviderMisconfigured,
        "There is no such service at this address ({shown}): see {address}; {usual}.",
    ),
    Kind(
        signs.says(words.LOADING, 503),
        ProviderUnavailable,
        "{service} is still loading the model {model}.",
    ),
    Kind(
        lambda refusal, _: refusal.status >= 500 or refusal.status in (408, 425),
        ProviderUnavailable,
        _FAILED,
    ),
    Kind(
        signs.says(words.PARAMETER),
        ProviderRefused,
        "The model {model} does not take the parameter {parameter} ({shown}).",
    ),
    Kind(
        lambda _refusal, _asked: True,
        ProviderRefused,
        "The model {model} refused ({shown}).",
    ),
)


def failure_of(refusal: Refusal, target: Target) -> ServiceError:
    """The error for `refusal`."""
    if target.role == "LLM" and (small := context_too_small(refusal.words, target.model)):
        return small
    kind = next(kind for kind in KINDS if kind.fits(refusal, target))
    names = target._replace(proxy=target.proxy or "the system")._asdict()
    use = "embeddings" if target.role == "EMBEDDER" else "chats"
    shown, parameter = refusal.shown(), _parameter(refusal)
    detail = kind.says.format(**names, shown=shown, parameter=parameter, use=use)
    if target.proxy and (refusal.is_page or refusal.status >= 500):
        detail += f" It is asked by way of the proxy of {target.proxy}; see NO_PROXY."
    if kind.error is ProviderRateLimited:
        wait = seconds_to_wait(refusal.headers, refusal.words)
        told, pause = (RATE_LIMIT_S, RATE_LIMIT_PAUSE_S) if wait is None else (wait, wait)
        return ProviderRateLimited(detail, max(1, math.ceil(told)), pause)
    failure = kind.error(detail)
    wait = seconds_asked(refusal.headers, refusal.words)
    if isinstance(failure, ProviderUnavailable) and wait is not None:
        failure.retry_after, failure.pause = max(1, math.ceil(wait)), wait
    return failure


def bad_answer(error: Exception, target: Target) -> ProviderBadAnswer:
    """The error for an answer that is neither the wanted one nor a refusal."""
    if isinstance(error, json.JSONDecodeError):
        why = f"is no JSON: see {target.address}; {target.usual}"
    else:
        why = f"has another form than such a service's: see {target.address}; {target.usual}"
    return ProviderBadAnswer(f"The answer of the model {target.model} {why}.")


def _parameter(refusal: Refusal) -> str:
    """The refused parameter, where it is a known one."""
    named = words.PARAMETERS.search(refusal.labels.get("param", "")) or words.PARAMETERS.search(
        refusal.words
    )
    return named[0].lower() if named else "that it names"
