"""Tests by which `kinds` recognises refusals: by their status, their words, and the target."""

import re
from collections.abc import Callable

from app.providers import words
from app.providers.refusals import Refusal
from app.providers.retry_after import seconds_asked
from app.providers.target import Target

Sign = Callable[[Refusal, Target], bool]

_OF_SIZE = (200, 400, 413, 422, 500)  # 200: in the body alone


def says(pattern: re.Pattern[str], *statuses: int) -> Sign:
    """A test whether a refusal's text matches `pattern`, and its status is one of `statuses`, if
    any are given."""
    return lambda refusal, _: bool(
        (not statuses or refusal.status in statuses) and pattern.search(refusal.words)
    )


def has(*statuses: int) -> Sign:
    return lambda refusal, _: refusal.status in statuses


def is_quota(refusal: Refusal, _: Target) -> bool:
    if refusal.status == 402:
        return True
    if refusal.status == 401:
        return bool(words.USED_UP.search(refusal.words))
    if _is_of_a_minute(refusal):
        return False
    named = words.SURELY_QUOTA & {*refusal.labels.values()}
    return bool(named or words.QUOTA.search(refusal.words))


def _is_of_a_minute(refusal: Refusal) -> bool:
    """Whether it is a limit per minute. Gemini also calls that "your current quota"."""
    if refusal.status != 429 or words.SURELY_QUOTA_WORDS.search(refusal.words):
        return False
    if words.OF_A_MINUTE.search(refusal.words):
        return True
    if seconds_asked(refusal.headers, refusal.words) is not None:
        return True
    return "RESOURCE_EXHAUSTED" in refusal.labels.values()


def is_rate_limit(refusal: Refusal, _: Target) -> bool:
    return refusal.status == 429 or bool(
        refusal.status in (400, 403, 503) and words.RATE.search(refusal.words)
    )


def is_batch(refusal: Refusal, target: Target) -> bool:
    """Whether an embedder says that the call has too many texts."""
    of_many = words.BATCH.search(refusal.words) and not words.ONE_TEXT.search(refusal.words)
    return target.role == "EMBEDDER" and refusal.status in _OF_SIZE and bool(of_many)


def is_too_long(refusal: Refusal, target: Target) -> bool:
    """Whether an embedder says that a text is too long."""
    too_long = words.TOO_LONG.search(refusal.words)
    return target.role == "EMBEDDER" and refusal.status in _OF_SIZE and bool(too_long)


def is_model(refusal: Refusal, target: Target) -> bool:
    if words.MODEL_AT_ANY_STATUS.search(refusal.words):
        return True
    if refusal.status not in (200, 400, 403, 404, 422, 503):
        return False
    if words.PARAMETERS.search(refusal.labels.get("param", "")):
        return False
    named = target.model.lower() in refusal.words.lower() and refusal.status in (404, 410)
    return named or bool(words.MODEL.search(refusal.words))


def is_address(refusal: Refusal, _: Target) -> bool:
    """Whether the answer is not from a model's service: nothing is there."""
    if refusal.status in (404, 405, 410):
        return True
    return refusal.status < 500 and bool(words.ADDRESS.search(refusal.words))
