"""For operators and tools: is it up, and how is it."""

from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app.api.http.auth import admin_only, open_to_all
from app.config import VERSION
from app.observability.metrics import CONTENT_TYPE, exposition

bp = Blueprint("ops", __name__)


def init_app(app: Flask) -> None:
    app.extensions["metrics"] = exposition(lambda: app.extensions["memory"].count())
    app.register_blueprint(bp)


@bp.get("/health")
@open_to_all
def health() -> dict[str, str]:
    """The process answers. Asks nothing of any dependency: a restart would not help those."""
    return {"status": "ok", "version": VERSION}


@bp.get("/ready")
@open_to_all
def ready() -> tuple[dict[str, Any], int]:
    """Each dependency by name; 503 when one fails."""
    checks = current_app.extensions["memory"].ready()
    well = all(check["status"] == "ok" for check in checks.values())
    return {"status": "ok" if well else "failed", "checks": checks}, 200 if well else 503


@bp.get("/metrics")
@admin_only
def metrics() -> Response:
    """For Prometheus."""
    return Response(current_app.extensions["metrics"](), content_type=CONTENT_TYPE)
