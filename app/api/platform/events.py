"""Events of adds. Each add is done when it answers, so none is kept."""

import uuid
from functools import partial

from flask import Blueprint

from app.api.dialect.fields import wrong
from app.api.http.streaming import Answer
from app.api.platform.answers import one_page
from app.api.platform.memories import SUCCEEDED

bp = Blueprint("platform_events", __name__)
route = partial(bp.route, strict_slashes=False)


@route("/v1/event/<segment:event_id>/", methods=["GET"])
def event(event_id: str) -> Answer:
    return {
        "id": _uuid(event_id),
        "event_type": "ADD",
        "status": SUCCEEDED,
        "results": [],
        "latency": 0,
        "created_at": None,
        "updated_at": None,
    }


@route("/v1/events/", methods=["GET"])
def events() -> Answer:
    return one_page([])


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise wrong("event_id", "must be a UUID") from None
