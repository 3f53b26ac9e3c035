"""Gives each request an id, a trace, a line in the access log, and metrics."""

import logging
import time
import uuid
from functools import partial

from flask import Flask, Response, g, request

from app.observability.logs import SANE_ID, request_id
from app.observability.metrics import HTTP_IN_FLIGHT, http_seconds
from app.observability.trace import parse, trace

log = logging.getLogger("app.api")

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def init_app(app: Flask) -> None:
    """Must be called before other modules: then `_begin` runs first, and `_end` last."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    request_id.set(given if SANE_ID.fullmatch(given) else uuid.uuid4().hex)
    parent = request.headers.get("traceparent")
    trace.set(parse(parent, request.headers.get("tracestate", "")) if parent else None)
    g.started = time.perf_counter()
    HTTP_IN_FLIGHT.inc()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id.get()
    route = request.url_rule.rule if request.url_rule else None  # not the path: it may hold texts
    method = request.method if request.method in _METHODS else "other"
    key_id = getattr(g, "key_id", "-")
    finish = partial(_finish, method, route, response.status_code, g.started, key_id)
    # gunicorn sends a file (direct_passthrough) by itself, and then calls no `call_on_close`.
    if response.is_streamed and not response.direct_passthrough:
        response.call_on_close(finish)  # after the last piece, or when the caller is gone
    else:
        finish()
    return response


def _finish(method: str, route: str | None, status: int, started: float, key_id: str) -> None:
    took = time.perf_counter() - started
    HTTP_IN_FLIGHT.dec()
    http_seconds(method, route or "unmatched", status).observe(took)
    fields = {
        "method": method,
        "route": route or "-",
        "status": status,
        "ms": round(took * 1000, 1),
        "key_id": key_id,
    }
    line = "%(method)s %(route)s %(status)d %(ms).1f ms key=%(key_id)s"
    log.info(line, fields, extra={"fields": fields})
