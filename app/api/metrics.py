"""GET /metrics, for Prometheus."""

from flask import Flask, Response, current_app

from app.api import ops
from app.api.http.auth import admin_only
from app.observability.metrics import CONTENT_TYPE, exposition


def init_app(app: Flask) -> None:
    app.extensions["metrics"] = exposition(lambda: app.extensions["memory"].count())


@ops.bp.get("/metrics")
@admin_only
def metrics() -> Response:
    return Response(current_app.extensions["metrics"](), content_type=CONTENT_TYPE)
