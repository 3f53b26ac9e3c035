"""Events: the jobs of asynchronous adds. Other operations have no events."""

import uuid
from functools import partial
from typing import Any

from flask import Blueprint

from app.api.dialect.fields import wrong
from app.api.http.auth import principal
from app.api.http.streaming import Answer
from app.api.jobs import jobs, utc
from app.api.platform.answers import one_page, results
from app.memory.jobs import Job, JobsRequest

bp = Blueprint("platform_events", __name__)
route = partial(bp.route, strict_slashes=False)

STATUS = {
    "pending": "PENDING",
    "running": "PROCESSING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "FAILED",
}
"""The states of jobs as mem0's clients know them."""
CANCELLED = "It was cancelled."
LISTED = 100


@route("/v1/event/<segment:event_id>/", methods=["GET"])
def event(event_id: str) -> Answer:
    return _shown(jobs().get(principal(), _uuid(event_id)))


@route("/v1/events/", methods=["GET"])
def events() -> Answer:
    """The latest events."""
    page = jobs().listing(principal(), JobsRequest(limit=LISTED))
    return one_page([_shown(job) for job in page.jobs])


def _shown(job: Job) -> Answer:
    ended = job.ended_at
    return {
        "id": job.id,
        "event_type": "ADD",
        "status": STATUS[job.state],
        "results": results(job.added.stored) if job.added else [],
        "latency": ended and round((ended - job.accepted_at) * 1000, 1),
        "created_at": utc(job.accepted_at),
        "updated_at": utc(ended or job.began_at or job.accepted_at),
        **_why(job),
    }


def _why(job: Job) -> dict[str, Any]:
    if STATUS[job.state] != "FAILED":
        return {}
    return {"error": job.failure.detail if job.failure else CANCELLED}


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise wrong("event_id", "must be a UUID") from None
