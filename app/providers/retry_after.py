"""Reads how long a service asks to wait, in all forms that services use."""

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_S = 86400.0
_EPOCH = 1e9  # a number from here on is a moment, in seconds since 1970
_EPOCH_MS = 1e12  # and from here on in milliseconds

# Gemini: "retryDelay": "34s"; OpenAI, Groq: "try again in 1.5s", "in 1h2m3.5s"; Azure: "retry after
# 20 seconds"; GitHub: "wait 3600 seconds"; Hugging Face: "estimated_time": 20.0; Anyscale and
# Discord's: "retry_after": 5; OpenRouter: "X-RateLimit-Reset": 1741305600000.
_WORDS = re.compile(
    r"(?:retry[ _]?delay|retry(?: again)?[ _-]?(?:in|after)(?P<unit>_m?s(?:econds)?)?"
    r"|try again (?:in|after)|please wait|estimated_time|ratelimit-reset)\W{1,5}(?=\d)",
    re.IGNORECASE,
)
_CHINESE = re.compile(r"(?=\d[\d.]{0,9} ?(?:秒|分|小时).{0,3}后)")
_PART = re.compile(
    r"(\d{1,15}(?:\.\d+)?) ?(ms\b|milli\w*|s(?:ec\w*)?\b|m(?:in\w*)?(?![a-z])|h(?:\w*rs?)?(?![a-z])"
    r"|d(?:ays?)?(?![a-z])|秒|分钟?|小时)?,? ?",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "秒": 1.0, "分": 60.0, "小": 3600.0}


def seconds_asked(headers: Mapping[str, str], words: str = "") -> float | None:
    """The seconds in `retry-after-ms`, in `Retry-After` (seconds or a date), or in the text
    `words`; None where there are none.

    `headers` has names in lower case, or ignores case.
    """
    for given, parse in (
        (headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms"), _milliseconds),
        (headers.get("retry-after"), _seconds_or_moment),
        (words, _said),
    ):
        found = parse(given.strip()) if given else None
        if found is not None:
            return min(max(found, 0.0), MAX_S)
    return None


def seconds_to_wait(headers: Mapping[str, str], words: str = "") -> float | None:
    """As `seconds_asked`, or else the seconds until a limit is reset, according to `headers`."""
    asked = seconds_asked(headers, words)
    found = _until_reset(headers) if asked is None else asked
    return None if found is None else min(max(found, 0.0), MAX_S)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """The seconds in `x-ratelimit-reset`, or in its forms for requests and for tokens; of these the
    one whose limit is reached according to `x-ratelimit-remaining`."""
    resets = {
        of: found
        for of in ("", "-requests", "-tokens")
        for name in (f"x-ratelimit-reset{of}", f"ratelimit-reset{of}")
        if (found := _seconds_or_moment(headers.get(name, "").strip())) is not None
    }
    reached = [
        seconds
        for of, seconds in resets.items()
        if headers.get(f"x-ratelimit-remaining{of}") in ("0", "0.0")
    ]
    return max(reached) if reached else min(resets.values(), default=None)


def _milliseconds(given: str) -> float | None:
    number = _number(given)
    return None if number is None else number / 1000


def _seconds_or_moment(given: str) -> float | None:
    """The seconds until what `given` says: a number, a number with its unit, or a date."""
    given = given.strip("\"' ")
    number = _number(given.partition(",")[0])
    if number is not None:
        return _from_now(number)
    if _is_duration(given):
        return _duration(given, 0)
    return _until(given)


def _number(given: str) -> float | None:
    try:
        number = float(given)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _from_now(number: float) -> float:
    if number < _EPOCH:
        return number
    return number / (1000 if number >= _EPOCH_MS else 1) - time.time()


def _until(given: str) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            until = parse(given)
        except ValueError:
            continue
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return (until - datetime.now(UTC)).total_seconds()
    return None


def _said(words: str) -> float | None:
    found = _WORDS.search(words) or _CHINESE.search(words)
    if not found:
        return None
    unit = found.groupdict().get("unit") or ""
    said = _duration(words, found.end())
    return said / 1000 if said is not None and unit.lower() == "_ms" else said


def _is_duration(given: str) -> bool:
    return bool(re.fullmatch(f"(?:{_PART.pattern})+", given, re.IGNORECASE))


def _duration(words: str, start: int) -> float | None:
    """The seconds of the duration at `start`: `1h2m3.5s`, `20 seconds`, or a number alone; None for
    a time of day or a date."""
    total, place = 0.0, start
    while part := _PART.match(words, place):
        number, unit = float(part[1]), (part[2] or "s").lower()
        total += number / 1000 if unit.startswith(("ms", "milli")) else number * _UNITS[unit[0]]
        if part[2] is None:
            return None if re.match(r"[:-]\d", words[part.end() :]) else _from_now(total)
        place = part.end()
    return total
