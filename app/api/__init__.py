"""HTTP: the only code that knows Flask."""

import json
import re
from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from app.api import (
    batch,
    contract,
    docs,
    jobs,
    keys,
    leftovers,
    mcp,
    ops,
    oss,
    page,
    platform,
    transfer,
)
from app.api.dialect import errors, paths
from app.api.http import (
    access_log,
    auth,
    headers,
    large_body,
    origins,
    overload,
    problems,
    rate_limit,
)
from app.api.memory import routes
from app.config import Settings

DIALECTS = {"platform": platform, "oss": oss, "mcp": mcp}
"""The packages of the dialects. Each has BLUEPRINTS, and PATHS: a regular expression that matches
the beginnings of its paths."""


class _Json(DefaultJSONProvider):
    _encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once

    def dumps(self, obj: Any, **_options: Any) -> str:
        return self._encoder.encode(obj)


def init_app(app: Flask, settings: Settings) -> None:
    """Register the routes, and what is done around each request.

    The order counts: Flask calls the functions before a request in this order (log, overload,
    origin, key, rate, authorization), and the functions after it in the opposite order."""
    app.json = _Json(app)
    access_log.init_app(app)
    problems.init_app(app)
    overload.init_app(app)
    origins.init_app(app, settings)
    headers.init_app(app)
    auth.init_app(app, settings)
    rate_limit.init_app(app, settings)
    app.before_request(auth.authorize)
    app.register_blueprint(routes.bp)
    large_body.init_app(app, settings)
    app.register_blueprint(batch.bp)
    ops.init_app(app)
    app.register_blueprint(contract.bp)
    app.register_blueprint(docs.bp)
    app.register_blueprint(jobs.bp)
    app.register_blueprint(keys.bp)
    app.register_blueprint(leftovers.bp)
    app.register_blueprint(transfer.bp)
    app.register_blueprint(page.bp)
    _init_dialects(app, settings)


def _init_dialects(app: Flask, settings: Settings) -> None:
    chosen = [DIALECTS[name] for name in settings.dialects]
    if not chosen:
        return
    prefixes = re.compile("|".join(dialect.PATHS for dialect in chosen))
    errors.init_app(app, prefixes)
    paths.init_app(app, prefixes)
    for dialect in chosen:
        for blueprint in dialect.BLUEPRINTS:
            app.register_blueprint(blueprint)
