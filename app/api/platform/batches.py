"""Changes or deletes several memories by one call. All are checked before the first is changed."""

from functools import partial
from typing import Any

from flask import Blueprint

from app.api.dialect.fields import asked, change, fields, picked, wrong
from app.api.http.auth import principal, writes
from app.api.http.streaming import Answer
from app.api.memory.routes import memory
from app.errors import InvalidRequest
from app.memory.requests import DeleteRequest, GetRequest, UpdateRequest
from app.memory.validation import R, at_place

bp = Blueprint("platform_batches", __name__)
route = partial(bp.route, strict_slashes=False)

MAX = 1000


@route("/v1/batch/", methods=["PUT"])
@writes
def update() -> Answer:
    changes = [
        _asked(UpdateRequest, place, change(one.get("memory_id"), one, text="data"))
        for place, one in enumerate(_memories())
    ]
    _all_there([one.memory_id for one in changes])
    for one in changes:
        memory().update(principal(), one)
    return {"message": f"Successfully updated {len(changes)} memories"}


@route("/v1/batch/", methods=["DELETE"])
@writes
def delete() -> Answer:
    deletions = [
        _asked(DeleteRequest, place, picked(one, memory_id="memory_id"))
        for place, one in enumerate(_memories())
    ]
    ids = dict.fromkeys(one.memory_id for one in deletions)
    _all_there([*ids])
    for memory_id in ids:
        memory().delete(principal(), DeleteRequest(memory_id=memory_id))
    return {"message": f"Successfully deleted {len(ids)} memories"}


def _memories() -> list[dict[str, Any]]:
    given = fields().get("memories")
    if not isinstance(given, list) or not 0 < len(given) <= MAX:
        raise wrong("memories", f"must be a list of 1 to {MAX} objects")
    for place, one in enumerate(given):
        if not isinstance(one, dict):
            raise wrong(f"memories.{place}", "must be an object")
    return given


def _asked(model: type[R], place: int, given: dict[str, Any]) -> R:
    try:
        return asked(model, given)
    except InvalidRequest as error:
        raise at_place(f"memories.{place}", error) from None


def _all_there(ids: list[str]) -> None:
    """Raises MemoryNotFound where one of `ids` does not exist."""
    for memory_id in ids:
        memory().get(principal(), GetRequest(memory_id=memory_id, show_expired=True))
