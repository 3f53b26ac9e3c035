"""HTTP: the only code that knows Flask."""

import json
from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from app.api import auth, busy, docs, guards, metrics, observed, ops, page, problems, rates, routes
from app.config import Settings


class _Json(DefaultJSONProvider):
    _encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once

    def dumps(self, obj: Any, **_options: Any) -> str:
        return self._encoder.encode(obj)


def init_app(app: Flask, settings: Settings) -> None:
    """Wire it up. What is asked before each request, in this order: is it from here, who is it,
    how often, and may they; what is done after each answer, in the opposite order."""
    app.json = _Json(app)
    observed.init_app(app)
    problems.init_app(app)
    busy.init_app(app)
    guards.init_app(app, settings)
    auth.init_app(app, settings)
    rates.init_app(app, settings)
    app.before_request(auth.admit)
    app.register_blueprint(routes.bp)
    metrics.init_app(app)
    app.register_blueprint(ops.bp)
    app.register_blueprint(docs.bp)
    app.register_blueprint(page.bp)
