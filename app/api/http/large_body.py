"""Bodies larger than MAX_BODY_BYTES: only as many are held at once as memory allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.api.http.body import decoded, raw_body
from app.config import Settings
from app.config.memory import memory_bytes
from app.errors import PayloadTooLarge
from app.memory.limits import MemoryBudget

SHARE = 4  # such bodies may take a quarter of the memory
READ = 6
"""Bytes of memory for each byte of a body: as received, as text, as values, and as answered. 31 MB
of long texts took 170 MB (2026-11-27)."""
STRUCTURE = b"{[:,"
OF_VALUE = 64
"""Bytes of memory for each of these characters when a body is parsed: 31 MB of empty lists took
860 MB."""


def init_app(app: Flask, settings: Settings) -> None:
    app.config["MAX_BATCH_BYTES"] = settings.max_batch_bytes
    share = memory_bytes() // SHARE // settings.web_concurrency
    app.extensions["large bodies"] = MemoryBudget(share)


@contextmanager
def large_body() -> Iterator[Any]:
    """The JSON of the current request, which may have MAX_BATCH_BYTES. The budget holds its memory
    until the context ends.

    Raises what `body` raises, PayloadTooLarge, and ServiceBusy while others need the memory.
    """
    budget: MemoryBudget = current_app.extensions["large bodies"]
    most = current_app.config["MAX_BATCH_BYTES"]
    request.max_content_length = most
    length = request.content_length
    with budget.holding(_possible(budget, READ * min(most, most if length is None else length))):
        try:
            raw = raw_body()
        except RequestEntityTooLarge:
            raise PayloadTooLarge("The body is larger than MAX_BATCH_BYTES.") from None
        parsed = OF_VALUE * sum(raw.count(character) for character in STRUCTURE)
        with budget.holding(_possible(budget, parsed), waits=False):
            yield decoded(raw)


def _possible(budget: MemoryBudget, size: int) -> int:
    """`size`. Raises PayloadTooLarge where the whole budget is smaller."""
    if size > budget.size:
        raise PayloadTooLarge(
            f"To read this body takes {size // 2**20} MB of memory, and there are "
            f"{budget.size // 2**20} for all such bodies: send fewer adds at once."
        )
    return size
