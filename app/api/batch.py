"""POST /batch: many bodies of /memory/add, each with an answer of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint

from app.api import jobs
from app.api.http import rate_limit
from app.api.http.auth import principal, writes
from app.api.http.body import as_object, idempotency_key
from app.api.http.large_body import large_body
from app.api.http.problems import STATUS, log_failure, problem_body
from app.api.http.streaming import Answer
from app.api.memory.answers import added
from app.api.memory.routes import memory
from app.errors import ServiceError
from app.memory.batch import Outcome
from app.memory.jobs import Job
from app.memory.requests import BatchRequest
from app.memory.validation import validated
from app.observability.logs import request_id

bp = Blueprint("batch", __name__)


@bp.post("/batch")
@writes
def add() -> tuple[Answer, dict[str, str]]:
    respond_async = jobs.is_preferred()
    with large_body() as given:
        asked = validated(BatchRequest, as_object(given), principal())
        rate_limit.count(len(asked.adds) - 1, "adds")
        outcomes = memory().batches.add(
            principal(), asked, idempotency_key(), respond_async=respond_async
        )
    _log({outcome.detail: outcome for outcome in outcomes if isinstance(outcome, ServiceError)})
    headers = {"Preference-Applied": jobs.ASYNC} if respond_async else {}
    return {"results": [_result(outcome) for outcome in outcomes]}, headers


def _log(failures: Mapping[str, ServiceError]) -> None:
    """Log each text of a failure once: a thousand adds may fail alike."""
    for failure in failures.values():
        if STATUS[failure.code] >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log_failure(failure)


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ServiceError):
        errors = getattr(outcome, "errors", ())
        return problem_body(outcome.code, outcome.detail, errors, request_id.get())
    if isinstance(outcome, Job):
        return {"status": HTTPStatus.ACCEPTED, "job": outcome.id}
    answer, status = added(outcome)
    return {"status": status, **answer}
