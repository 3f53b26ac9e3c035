"""The nine routes: parse, one call, answer."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Blueprint, Response, current_app, json

from app.api.auth import admin_only, scope, writes
from app.api.schemas import (
    AddRequest,
    DeleteAllRequest,
    DeleteRequest,
    GetAllRequest,
    GetRequest,
    HistoryRequest,
    ResetRequest,
    SearchRequest,
    UpdateRequest,
    parse,
    repeat,
)
from app.errors import ServiceError
from app.memory import MemoryService, Page

log = logging.getLogger(__name__)

bp = Blueprint("memory", __name__, url_prefix="/memory")

DUMPED_AT_ONCE, DUMPED_CHARACTERS = 64, 100_000

Answer = dict[str, Any]
Part = tuple[list[Answer], Answer]
"""Some of the results of an answer, and what stands beside them."""


def memory() -> MemoryService:
    service: MemoryService = current_app.extensions["memory"]
    return service


@bp.post("/add")
@writes
def add() -> tuple[Answer, int]:
    asked = parse(AddRequest)
    added = memory().add(
        asked.said(),
        asked.scope(),
        metadata=asked.metadata,
        infer=asked.infer,
        expiration_date=asked.expiration_date,
        repeat=repeat(asked),
    )
    answer: Answer = {"result": None, "results": added.stored}
    if not added.stored:
        return answer, 200
    answer["result"] = added.stored[0]["id"]
    if added.failed:
        answer["failed"] = added.failed
    return answer, 201


@bp.post("/get_all")
def get_all() -> Answer | Response:
    asked = parse(GetAllRequest)
    pages = memory().listing(
        asked.scope(),
        limit=asked.limit,
        filters=asked.filters,
        after=asked.cursor,
        show_expired=asked.show_expired,
    )
    parts = _listed(pages)
    return streamed(parts) if asked.limit is None else whole_or_streamed(parts)


def _listed(pages: Iterator[Page]) -> Iterator[Part]:
    number = 0
    for page in pages:
        number += len(page.memories)
        total = number if page.total is None else page.total
        yield page.memories, {"total": total, "next_cursor": page.cursor}


def whole_or_streamed(parts: Iterator[Part]) -> Answer | Response:
    """An answer of one part as it is, so that its length is known; a longer one as it is read."""
    first, second = next(parts), next(parts, None)
    if second is None:
        results, rest = first
        return {"results": results, **rest}
    return streamed(chain((first, second), parts))


def streamed(parts: Iterator[Part]) -> Response:
    """Results as they are read, and what the last part adds to them. What fails on the way breaks
    the connection off, so that a part is never taken for the whole."""

    def write() -> Iterator[str]:
        number, ends = 0, Answer()
        yield '{"results":['
        try:
            for results, beside in parts:
                ends = beside
                for some in _few(results):
                    yield ("," if number else "") + json.dumps(some)[1:-1]
                    number += len(some)
        except ServiceError as error:
            log.error("a listing broke off after %d memories: %s", number, error.code)
            raise
        yield "]," + json.dumps(ends)[1:] if ends else "]}"

    return Response(write(), mimetype="application/json")


def _few(results: list[Answer]) -> Iterator[list[Answer]]:
    """As many as are made JSON at once, where a text takes up to twelve times its room."""
    few, size = list[Answer](), 0
    for memory in results:
        few.append(memory)
        size += len(memory["memory"])
        if len(few) == DUMPED_AT_ONCE or size >= DUMPED_CHARACTERS:
            yield few
            few, size = [], 0
    if few:
        yield few


@bp.post("/get")
def get() -> Answer:
    asked = parse(GetRequest)
    return memory().get(asked.memory_id, within=scope(), show_expired=asked.show_expired)


@bp.post("/search")
def search() -> Answer | Response:
    asked = parse(SearchRequest)
    found = memory().found(
        asked.query,
        asked.scope(),
        filters=asked.filters,
        limit=asked.limit,
        threshold=asked.threshold,
        explain=asked.explain,
        show_expired=asked.show_expired,
    )
    return whole_or_streamed((results, {}) for results in found)


@bp.post("/update")
@writes
def update() -> Answer:
    asked = parse(UpdateRequest)
    result = memory().update(
        asked.memory_id, within=scope(), text=asked.data, changes=asked.changes()
    )
    return {"message": "Memory updated.", "result": result}


@bp.post("/history")
def history() -> Answer:
    return {"results": memory().history(parse(HistoryRequest).memory_id, within=scope())}


@bp.post("/delete")
@writes
def delete() -> Answer:
    memory().delete(parse(DeleteRequest).memory_id, within=scope())
    return {"message": "Memory deleted."}


@bp.post("/delete_all")
@writes
def delete_all() -> Answer:
    asked = parse(DeleteAllRequest)
    deleted = memory().delete_all(asked.scope(), purge=asked.purge)
    answer: Answer = {"message": "Memories deleted.", "deleted": deleted.memories}
    return answer | {"left": deleted.left} if asked.purge else answer


@bp.post("/reset")
@admin_only
@writes
def reset() -> Answer:
    parse(ResetRequest)
    return {"message": "All memories and their history are gone.", "deleted": memory().reset()}
