"""Reads times in the forms in which programs write them."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.storage.payloads import instant

MAX_SECONDS = 1e11
"""A larger number is in a smaller unit: so many seconds end in the year 5138."""
_UNITS = 4  # seconds, milli-, micro- and nanoseconds

# Looser forms, such as `04/05/2024` or `7:34 PM`, could only be guessed.
_RFC_2822 = re.compile(
    r"([A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(:\d\d)? (GMT|UT|[+-]\d{4})", re.ASCII
)
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d:\d\d:\d\d) GMT([+-]\d{4})( \(.*\))?",
    re.ASCII,
)


def moment(text: str) -> datetime:
    """The time in UTC that `text` gives in ISO 8601 (UTC without a zone), in RFC 2822 or in the
    form of JavaScript's Date.

    Raises ValueError, or OverflowError where the time in UTC is outside the years 1 to 9999.
    """
    text = text.strip().removesuffix(" UTC")
    if found := _JAVASCRIPT.fullmatch(text):
        month, day, year, time, zone, _ = found.groups()
        text = f"{day} {month} {year} {time} {zone}"
    if _RFC_2822.fullmatch(text):
        return instant(parsedate_to_datetime(text).isoformat())
    if text[-1:] == "z":
        text = f"{text[:-1]}Z"
    return instant(text)


def since_1970(number: float) -> datetime:
    """The time in UTC that is `number` after 1970, in seconds, or, where it is too large for
    them, in milliseconds, microseconds or nanoseconds.

    Raises ValueError, OverflowError or OSError where the number is no such time.
    """
    for _ in range(_UNITS):
        if abs(number) <= MAX_SECONDS:
            return datetime.fromtimestamp(number, UTC)
        number /= 1000
    raise ValueError("no time")
