"""Times in the forms in which programs write them."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.storage.payloads import instant

MAX_SECONDS = 1e11
"""A number above it is of a smaller unit: as one of seconds it would lead to the year 5138."""
_UNITS = 4  # seconds, milli-, micro- and nanoseconds

# What is looser, such as `04/05/2024` or `7:34 PM`, would be a guess.
_RFC_2822 = re.compile(
    r"([A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(:\d\d)? (GMT|UT|[+-]\d{4})", re.ASCII
)
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d:\d\d:\d\d) GMT([+-]\d{4})( \(.*\))?",
    re.ASCII,
)


def moment(text: str) -> datetime:
    """In UTC, from ISO 8601 (without a zone it is UTC), RFC 2822 or the text of JavaScript's Date.

    Raises ValueError, or OverflowError for a zone that leads out of the years 1 to 9999.
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
    """In UTC, from a number of seconds, or by its size of milli-, micro- or nanoseconds.

    Raises ValueError, OverflowError or OSError for what is none.
    """
    for _ in range(_UNITS):
        if abs(number) <= MAX_SECONDS:
            return datetime.fromtimestamp(number, UTC)
        number /= 1000
    raise ValueError("no time")
