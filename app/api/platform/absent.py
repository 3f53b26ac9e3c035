"""Routes of the Platform that this service does not offer. They answer 501, because clients take a
404 for a memory that does not exist."""

from functools import partial

from flask import Blueprint

from app.api.http.streaming import Answer
from app.errors import NotOffered

bp = Blueprint("platform_absent", __name__)
route = partial(bp.route, strict_slashes=False)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@route("/v1/exports/", methods=["POST"])
@route("/v1/exports/get/", methods=["POST"])
def exports() -> Answer:
    raise NotOffered("Exports are mem0's Platform's own; POST /memory/get_all lists everything.")


@route("/v1/summary/", methods=["POST"])
def summary() -> Answer:
    raise NotOffered("Summaries are mem0's Platform's own.")


@route("/v1/feedback/", methods=["POST"])
def feedback() -> Answer:
    raise NotOffered("Feedback on memories is mem0's Platform's own.")


@route("/v2/profiles/<path:rest>", methods=METHODS)
def profiles(rest: str) -> Answer:
    raise NotOffered("Profiles are mem0's Platform's own.")


@route("/api/v1/<path:rest>", methods=METHODS)
def projects(rest: str) -> Answer:
    raise NotOffered(
        "Organizations, projects, members and webhooks are mem0's Platform's own. Settings of "
        "this server are in its environment; CUSTOM_INSTRUCTIONS is one."
    )
