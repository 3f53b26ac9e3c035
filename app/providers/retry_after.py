"""Reads how long a service asks to wait, in all forms that services use."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Gemini: "retryDelay": "34s"; OpenAI, Groq: "try again in 1.5s", "in 6m0s"; Azure: "retry after 20
# seconds".
_WORDS = re.compile(
    r"(?:retry[ _]?delay|retry(?: again)? (?:in|after)|try again (?:in|after))\W{1,5}"
    r"(?:(\d{1,4})m(?!s))?(\d{1,6}(?:\.\d+)?)? ?(ms|milliseconds)?",
    re.IGNORECASE,
)
MAX_S = 86400.0


def seconds_to_wait(headers: Mapping[str, str], words: str = "") -> float | None:
    """The seconds in `retry-after-ms`, in `Retry-After` (seconds or a date), or in the text
    `words`; None where there are none.

    `headers` has names in lower case, or ignores case.
    """
    for given, parse in (
        (headers.get("retry-after-ms"), _milliseconds),
        (headers.get("retry-after"), _seconds_or_date),
        (words, _said),
    ):
        found = parse(given.strip()) if given else None
        if found is not None:
            return min(max(found, 0.0), MAX_S)
    return None


def _number(given: str) -> float | None:
    try:
        number = float(given)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _milliseconds(given: str) -> float | None:
    number = _number(given)
    return None if number is None else number / 1000


def _seconds_or_date(given: str) -> float | None:
    number = _number(given.removesuffix("s"))
    if number is not None:
        return number
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return (until - datetime.now(UTC)).total_seconds()


def _said(words: str) -> float | None:
    found = _WORDS.search(words)
    if not found or not any(found.groups()[:2]):
        return None
    minutes, seconds, thousandths = found.groups()
    said = float(seconds or 0) / (1000 if thousandths else 1)
    return 60 * float(minutes or 0) + said
