"""Makes the answers for failures: RFC 9457 problem details."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException

from app.errors import FieldError, ServiceError
from app.observability.logs import request_id

log = logging.getLogger(__name__)

STATUS = {
    "invalid_request": 400,
    "filter_too_expensive": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "host_not_allowed": 403,
    "origin_not_allowed": 403,
    "memory_not_found": 404,
    "job_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "job_has_begun": 409,
    "request_in_progress": 409,
    "idempotency_key_erased": 410,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "respond_async_needed": 422,
    "too_many_jobs": 429,
    "too_many_requests": 429,
    "internal_error": 500,
    "keys_not_configured": 501,
    "llm_not_configured": 501,
    "not_offered": 501,
    "provider_auth_failed": 502,
    "provider_quota_exceeded": 502,
    "provider_refused": 502,
    "provider_bad_answer": 502,
    "provider_answer_cut": 502,
    "provider_content_filtered": 502,
    "embedder_input_too_long": 502,
    "context_too_small": 502,
    "service_busy": 503,
    "vector_store_unavailable": 503,
    "history_unavailable": 503,
    "provider_unavailable": 503,
    "provider_rate_limited": 503,
    "model_not_ready": 503,
    "embedder_mismatch": 503,
    "being_embedded": 503,
    "storage_full": 503,
    "maintenance_failed": 503,
    "jobs_delayed": 503,
    "provider_timeout": 504,
    "vector_store_timeout": 504,
}
"""Every `code` that openapi.yaml lists, with its status."""

_OF_HTTP = {
    404: ("not_found", "There is nothing at this address. The routes are in /openapi.yaml."),
    405: ("method_not_allowed", "This route does not take this method; see Allow."),
    413: ("payload_too_large", "The body is larger than MAX_BODY_BYTES."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("too_many_requests", "More requests than RATE_LIMIT allows; see Retry-After."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(ServiceError, _service_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _defect)


def _service_error(error: ServiceError) -> Response:
    response = problem(error.code, error.detail, getattr(error, "errors", ()))
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_failure(error)
    return response


def log_failure(error: ServiceError) -> None:
    # Only the type of the cause: its message may quote a key or a user's text.
    cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
    log.error("%s: %s%s", error.code, error.detail, cause)


def _http_error(error: HTTPException) -> Response:
    code, detail = _OF_HTTP.get(error.code or 500, ("invalid_request", error.description or ""))
    response = problem(code, detail)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _defect(error: Exception) -> Response:
    # The log has the traceback but not the message, which may quote a user's text.
    log.critical("a defect of this service: %s", type(error).__name__, exc_info=error)
    return problem("internal_error", "A defect of this service; its log has the request_id.")


def problem(code: str, detail: str, errors: Sequence[FieldError] = ()) -> Response:
    body = problem_body(code, detail, errors, request_id.get())
    return Response(json.dumps(body), body["status"], mimetype="application/problem+json")


def problem_body(
    code: str, detail: str, errors: Sequence[FieldError], request_id: str
) -> dict[str, Any]:
    status = HTTPStatus(STATUS[code])
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = [error._asdict() for error in errors]
    return body
