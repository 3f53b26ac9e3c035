"""The routes of mem0's open-source server."""

from functools import partial
from typing import Any

from flask import Blueprint

from app.api.dialect import deleting, scope
from app.api.dialect.adding import add_request, message
from app.api.dialect.fields import asked, change, fields, flag
from app.api.http.auth import admin_only, principal, writes
from app.api.http.body import idempotency_key
from app.api.http.streaming import Answer, found, streamed, whole_or_streamed
from app.api.memory.routes import memory
from app.api.oss import requests
from app.errors import NotOffered
from app.memory.answers import Entity
from app.memory.requests import DeleteRequest, GetRequest, HistoryRequest, UpdateRequest

bp = Blueprint("oss", __name__)
route = partial(bp.route, strict_slashes=False)


@route("/memories", methods=["POST"])
@writes
def add() -> Answer:
    given = fields()
    sent = add_request(given, scope.beside(given))
    added = memory().add(principal(), sent, idempotency_key())
    return {"results": added.stored, "message": message(added, sent, memory().extracts)}


@route("/search", methods=["POST"])
def search() -> Any:
    parts = memory().found(principal(), requests.search(fields()))
    return whole_or_streamed(found(parts))


@route("/memories", methods=["GET"])
def get_all() -> Any:
    wanted = requests.listing()
    pages = memory().listing(principal(), wanted)
    return streamed((page.memories, {}) for page in pages)


@route("/memories/<segment:memory_id>", methods=["GET"])
def get(memory_id: str) -> Answer:
    wanted = {"memory_id": memory_id, "show_expired": flag("show_expired")}
    return memory().get(principal(), asked(GetRequest, wanted))


@route("/memories/<segment:memory_id>", methods=["PUT"])
@writes
def update(memory_id: str) -> Answer:
    sent = asked(UpdateRequest, change(memory_id, fields(), data="data", text="data"))
    result = memory().update(principal(), sent)
    return {"message": "Memory updated successfully!", "result": result}


@route("/memories/<segment:memory_id>", methods=["DELETE"])
@writes
def delete(memory_id: str) -> Answer:
    memory().delete(principal(), asked(DeleteRequest, {"memory_id": memory_id}))
    return {"message": "Memory deleted successfully!"}


@route("/memories/<segment:memory_id>/history", methods=["GET"])
def history(memory_id: str) -> list[Answer]:
    return memory().history(principal(), asked(HistoryRequest, {"memory_id": memory_id}))


@route("/memories", methods=["DELETE"])
@writes
def delete_all() -> Answer:
    deleted = memory().delete_all(principal(), deleting.delete_all())
    return {"message": "All relevant memories deleted", "deleted": deleted.memories}


@route("/reset", methods=["POST"])
@admin_only
@writes
def reset() -> Answer:
    deleted = memory().reset(principal())
    return {"message": "All memories reset", "deleted": deleted}


@route("/entities", methods=["GET"])
def entities() -> list[Answer]:
    return [_entity(one) for one in memory().entities(principal())]


def _entity(one: Entity) -> Answer:
    kind = one.kind.removesuffix("_id")
    times = {"created_at": None, "updated_at": None}
    return {"id": one.id, "type": kind, "total_memories": one.memories, **times}


@route("/entities/<segment:kind>/<segment:name>", methods=["DELETE"])
@writes
def delete_entity(kind: str, name: str) -> Answer:
    deleted = memory().delete_all(principal(), deleting.entity(kind, name))
    return {"message": "Entity deleted", "deleted": deleted.memories}


@route("/configure", methods=["GET", "POST"])
def configure() -> Answer:
    raise NotOffered("The settings of this server are in its environment; see its file env.")
