"""Answers that are too large to be held are sent as they are read."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Response, json

from app.errors import ServiceError
from app.memory import Found, Page

log = logging.getLogger(__name__)

DUMPED_AT_ONCE, DUMPED_CHARACTERS = 64, 100_000

Answer = dict[str, Any]
Part = tuple[list[Answer], Answer]
"""Some of the results of an answer, and what stands beside them."""


def listed(pages: Iterator[Page]) -> Iterator[Part]:
    number = 0
    for page in pages:
        number += len(page.memories)
        total = number if page.total is None else page.total
        yield page.memories, {"total": total, "next_cursor": page.cursor}


def found(parts: Iterator[Found]) -> Iterator[Part]:
    for part in parts:
        reason = part.degraded
        yield part.memories, {"degraded": True, "reason": reason} if reason else {}


def whole_or_streamed(parts: Iterator[Part]) -> Answer | Response:
    """An answer of one part as it is, so that its length is known; a longer one as it is read."""
    first, second = next(parts), next(parts, None)
    if second is None:
        results, rest = first
        return {"results": results, **rest}
    return streamed(chain((first, second), parts))


def streamed(parts: Iterator[Part], *, bare: bool = False) -> Response:
    """Results as they are read, and what the last part adds to them; `bare`, their list alone.
    What fails on the way breaks the connection off, so that a part is never taken for the whole."""

    def write() -> Iterator[str]:
        number, ends = 0, Answer()
        yield "[" if bare else '{"results":['
        try:
            for results, beside in parts:
                ends = beside
                for some in _few(results):
                    yield ("," if number else "") + json.dumps(some)[1:-1]
                    number += len(some)
        except ServiceError as error:
            log.error("a listing broke off after %d memories: %s", number, error.code)
            raise
        if bare:
            yield "]"
        else:
            yield "]," + json.dumps(ends)[1:] if ends else "]}"

    return Response(write(), mimetype="application/json")


def _few(results: list[Answer]) -> Iterator[list[Answer]]:
    """Lists that are small enough to be made JSON at once: there a text may take twelve times its
    room."""
    few, size = list[Answer](), 0
    for memory in results:
        few.append(memory)
        size += len(memory["memory"])
        if len(few) == DUMPED_AT_ONCE or size >= DUMPED_CHARACTERS:
            yield few
            few, size = [], 0
    if few:
        yield few
