"""Streams large answers: they are sent while they are read from the store."""

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
"""Some results of an answer, and the fields beside `results`. The fields of the last part count."""


def listed(pages: Iterator[Page]) -> Iterator[Part]:
    """The parts of a listing; `total` is the number so far where the store did not count."""
    number = 0
    for page in pages:
        number += len(page.memories)
        total = number if page.total is None else page.total
        yield page.memories, {"total": total, "next_cursor": page.cursor}


def found(parts: Iterator[Found]) -> Iterator[Part]:
    """The parts of a search's answer."""
    for part in parts:
        reason = part.degraded
        yield part.memories, {"degraded": True, "reason": reason} if reason else {}


def whole_or_streamed(parts: Iterator[Part]) -> Answer | Response:
    """The answer: as one object where it has one part, else streamed."""
    first, second = next(parts), next(parts, None)
    if second is None:
        results, rest = first
        return {"results": results, **rest}
    return streamed(chain((first, second), parts))


def streamed(parts: Iterator[Part], *, bare: bool = False) -> Response:
    """The answer, streamed: all results, and the fields beside them of the last part. With `bare`
    it is the list of the results alone.

    A failure on the way breaks the connection off, so that no client takes a part for the whole."""

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
    """`results` in lists that are small enough to be serialised at once: as JSON a text may take
    twelve times its memory."""
    few, size = list[Answer](), 0
    for memory in results:
        few.append(memory)
        size += len(memory["memory"])
        if len(few) == DUMPED_AT_ONCE or size >= DUMPED_CHARACTERS:
            yield few
            few, size = [], 0
    if few:
        yield few
