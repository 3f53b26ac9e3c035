"""The nine routes: each parses the body, calls one operation and answers."""

from flask import Blueprint, Response, current_app

from app.api import jobs
from app.api.http.auth import admin_only, principal, writes
from app.api.http.body import idempotency_key, parse
from app.api.http.streaming import Answer, found, listed, streamed, whole_or_streamed
from app.api.memory.answers import added
from app.memory import MemoryService
from app.memory.requests import (
    AddRequest,
    DeleteAllRequest,
    DeleteRequest,
    GetAllRequest,
    GetRequest,
    HistoryRequest,
    ResetRequest,
    SearchRequest,
    UpdateRequest,
)

bp = Blueprint("memory", __name__, url_prefix="/memory")


def memory() -> MemoryService:
    service: MemoryService = current_app.extensions["memory"]
    return service


@bp.post("/add")
@writes
def add() -> Response | tuple[Answer, int]:
    asked = parse(AddRequest)
    if jobs.is_preferred():
        return jobs.accept(asked)
    return added(memory().add(principal(), asked, idempotency_key()))


@bp.post("/get_all")
def get_all() -> Answer | Response:
    asked = parse(GetAllRequest)
    parts = listed(memory().listing(principal(), asked))
    return streamed(parts) if asked.limit is None else whole_or_streamed(parts)


@bp.post("/get")
def get() -> Answer:
    return memory().get(principal(), parse(GetRequest))


@bp.post("/search")
def search() -> Answer | Response:
    return whole_or_streamed(found(memory().found(principal(), parse(SearchRequest))))


@bp.post("/update")
@writes
def update() -> Answer:
    result = memory().update(principal(), parse(UpdateRequest))
    return {"message": "Memory updated.", "result": result}


@bp.post("/history")
def history() -> Answer:
    return {"results": memory().history(principal(), parse(HistoryRequest))}


@bp.post("/delete")
@writes
def delete() -> Answer:
    memory().delete(principal(), parse(DeleteRequest))
    return {"message": "Memory deleted."}


@bp.post("/delete_all")
@writes
def delete_all() -> Answer:
    asked = parse(DeleteAllRequest)
    deleted = memory().delete_all(principal(), asked)
    answer: Answer = {"message": "Memories deleted.", "deleted": deleted.memories}
    return answer | {"erased": deleted.erased, "left": deleted.left} if asked.purge else answer


@bp.post("/reset")
@admin_only
@writes
def reset() -> Answer:
    parse(ResetRequest)
    deleted = memory().reset(principal())
    return {"message": "All memories and their history are gone.", "deleted": deleted}
