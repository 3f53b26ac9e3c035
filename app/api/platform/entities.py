"""The users, agents, apps and runs that have memories."""

from functools import partial

from flask import Blueprint

from app.api.dialect import deleting
from app.api.dialect.fields import numbers
from app.api.http.auth import principal, writes
from app.api.http.streaming import Answer
from app.api.memory.routes import memory
from app.api.platform.answers import ends_of_page, one_page
from app.api.platform.requests import PAGE_SIZE
from app.memory.answers import Entity

bp = Blueprint("platform_entities", __name__)
route = partial(bp.route, strict_slashes=False)


@route("/v1/entities/", methods=["GET"])
def entities() -> Answer:
    """All entities, unless a page is asked for. A client that deletes everybody asks only once."""
    paging = numbers("page", "page_size")
    found = [_entity(one) for one in memory().entities(principal())]
    if not paging:
        return one_page(found)
    number, size = paging.get("page", 1), paging.get("page_size", PAGE_SIZE)
    start = (number - 1) * size
    return {**ends_of_page(number, size, len(found)), "results": found[start : start + size]}


def _entity(one: Entity) -> Answer:
    return {
        "id": one.id,
        "name": one.id,
        "type": one.kind.removesuffix("_id"),
        "total_memories": one.memories,
        "owner": None,
        "created_at": None,
        "updated_at": None,
    }


@route("/v1/entities/<segment:kind>/<segment:name>/", methods=["DELETE"])
@route("/v2/entities/<segment:kind>/<segment:name>/", methods=["DELETE"])
@writes
def delete_entity(kind: str, name: str) -> Answer:
    """Delete an entity. One without memories is no error: they may have been deleted with another
    entity's."""
    deleted = memory().delete_all(principal(), deleting.entity(kind, name))
    return {"message": "Entity deleted successfully!", "deleted": deleted.memories}
