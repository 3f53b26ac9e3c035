"""The nine routes: parse, one call, answer."""

import logging
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, json

from app.api.http.auth import admin_only, scope, writes
from app.api.http.body import (
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
from app.memory import MemoryService

log = logging.getLogger(__name__)

bp = Blueprint("memory", __name__, url_prefix="/memory")

Answer = dict[str, Any]


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
    chosen = {
        "filters": asked.filters,
        "after": asked.cursor,
        "show_expired": asked.show_expired,
    }
    if asked.limit is not None:
        return memory().get_all(asked.scope(), limit=asked.limit, **chosen)
    return streamed(memory().pages(asked.scope(), **chosen))


def streamed(pages: Iterator[list[Answer]]) -> Response:
    """A listing as it is read. What fails on the way breaks the connection off, so that a part
    is never taken for the whole."""

    def write() -> Iterator[str]:
        total = 0
        yield '{"results":['
        try:
            for page in pages:
                if page:
                    yield ("," if total else "") + json.dumps(page)[1:-1]
                total += len(page)
        except ServiceError as error:
            log.error("a listing broke off after %d memories: %s", total, error.code)
            raise
        yield f'],"total":{total},"next_cursor":null}}'

    return Response(write(), mimetype="application/json")


@bp.post("/get")
def get() -> Answer:
    asked = parse(GetRequest)
    return memory().get(asked.memory_id, within=scope(), show_expired=asked.show_expired)


@bp.post("/search")
def search() -> Answer:
    asked = parse(SearchRequest)
    found = memory().search(
        asked.query,
        asked.scope(),
        filters=asked.filters,
        limit=asked.limit,
        threshold=asked.threshold,
        explain=asked.explain,
        show_expired=asked.show_expired,
    )
    return {"results": found}


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
