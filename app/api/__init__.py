"""HTTP: the only code that knows Flask."""

import logging
import re
import time
import uuid

from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider

from app.api import auth, guards, ops, page, problems, rates, routes
from app.config import Settings
from app.logs import request_id

log = logging.getLogger(__name__)


class _Json(DefaultJSONProvider):
    ensure_ascii = False
    sort_keys = False
    compact = True


_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def init_app(app: Flask, settings: Settings) -> None:
    """Wire it up. What is asked before each request, in this order: is it from here, who is it,
    how often, and may they; what is done after each answer, in the opposite order."""
    app.json = _Json(app)
    app.before_request(_begin)
    app.after_request(_end)
    problems.init_app(app)
    guards.init_app(app, settings)
    auth.init_app(app, settings)
    rates.init_app(app, settings)
    app.before_request(auth.admit)
    app.register_blueprint(routes.bp)
    app.register_blueprint(ops.bp)
    app.register_blueprint(page.bp)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    request_id.set(given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex)
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id.get()
    route = request.url_rule.rule if request.url_rule else "-"  # a path may hold anything
    took = (time.perf_counter() - g.started) * 1000
    log.info("%s %s %d %.1f ms", request.method, route, response.status_code, took)
    return response
