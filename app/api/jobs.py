"""Jobs: asynchronous adds are accepted, looked at and cancelled."""

import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, make_response, request, url_for
from werkzeug.http import parse_set_header

from app.api.http.auth import principal, writes
from app.api.http.body import idempotency_key
from app.api.http.problems import problem_body
from app.errors import FieldError, InvalidRequest, JobNotFound
from app.memory.jobs import Job, JobService, JobsRequest
from app.memory.jobs.requests import WaitRequest
from app.memory.requests import AddRequest
from app.memory.validation import validated

bp = Blueprint("jobs", __name__, url_prefix="/jobs")

ASYNC = "respond-async"
LOOK_AGAIN_S = "1"


def jobs() -> JobService:
    service: JobService = current_app.extensions["memory"].jobs
    return service


def is_preferred() -> bool:
    """Whether the current request has `Prefer: respond-async` (RFC 7240)."""
    given = parse_set_header(", ".join(request.headers.getlist("Prefer")))
    return any(one.partition(";")[0].strip().lower() == ASYNC for one in given)


def submit(asked: AddRequest) -> Job:
    """Accept the add of the current request as a job."""
    return jobs().submit(principal(), asked, idempotency_key())


def accept(asked: AddRequest) -> Response:
    """Accept the add of the current request as a job, and answer with the job."""
    job = submit(asked)
    return told(job, {"job": job.id, "status": job.state})


def told(job: Job, answer: dict[str, Any]) -> Response:
    """`answer` about an accepted job, with its address. Its status is 202; 200 where the job of a
    repeated Idempotency-Key has ended already."""
    response = make_response(answer)
    response.status_code = 200 if job.has_ended else 202
    response.headers["Location"] = url_for("jobs.get", id=job.id)
    response.headers["Preference-Applied"] = ASYNC
    return _with_advice(response, job)


@bp.get("")
def listed() -> dict[str, Any]:
    asked = validated(JobsRequest, _query(), principal())
    page = jobs().listing(principal(), asked)
    queue = jobs().state(principal().narrowed(asked.scope()))
    return {
        "jobs": [shown(job) for job in page.jobs],
        "next_cursor": page.cursor,
        "pending": queue.pending,
        "running": queue.running,
    }


@bp.get("/<id>")
def get(id: str) -> Response:
    wait = validated(WaitRequest, _query(), principal()).wait
    job = jobs().get(principal(), _canonical(id), wait)
    return _with_advice(make_response(shown(job)), job)


@bp.delete("/<id>")
@writes
def cancel(id: str) -> dict[str, Any]:
    return shown(jobs().cancel(principal(), _canonical(id)))


def shown(job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "job": job.id,
        "status": job.state,
        **job.scope,
        "attempts": job.attempts,
        "created_at": utc(job.accepted_at),
        "started_at": utc(job.began_at),
        "ended_at": utc(job.ended_at),
    }
    if job.added:
        answer |= job.added.shown()
    if job.erased:
        answer["erased"] = True
    if job.failure:
        failure = job.failure
        answer["problem"] = problem_body(failure.code, failure.detail, failure.errors, job.id)
    if job.due_at:
        answer["next_attempt_at"] = utc(job.due_at)
    return answer


def utc(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _with_advice(response: Response, job: Job) -> Response:
    if not job.has_ended:
        response.headers["Retry-After"] = LOOK_AGAIN_S
    return response


def _query() -> dict[str, str]:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InvalidRequest("The address is wrong.", [FieldError(name, "is given twice")])
    return request.args.to_dict()


def _canonical(id_: str) -> str:
    try:
        return str(uuid.UUID(id_))
    except ValueError:
        raise JobNotFound from None
