"""Routes for operators and their tools: /health, /ready and /metrics."""

from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app.api.http.auth import admin_only, open_to_all
from app.config import VERSION
from app.memory.readiness import summary
from app.observability.metrics import CONTENT_TYPE
from app.observability.scrape import exposition

bp = Blueprint("ops", __name__)


def init_app(app: Flask) -> None:
    app.extensions["metrics"] = exposition(
        lambda: app.extensions["memory"].count(), lambda: app.extensions["memory"].jobs.state()
    )
    app.register_blueprint(bp)


@bp.get("/health")
@open_to_all
def health() -> dict[str, str]:
    """Whether the process answers. It checks no dependency, because restarting this process would
    not mend one."""
    return {"status": "ok", "version": VERSION}


@bp.get("/ready")
@open_to_all
def ready() -> tuple[dict[str, Any], int]:
    """The state of each dependency; 503 only where no request could be served."""
    checks = current_app.extensions["memory"].ready()
    status = summary(checks)
    return {"status": status, "checks": checks}, 503 if status == "failed" else 200


@bp.get("/metrics")
@admin_only
def metrics() -> Response:
    """The metrics, in Prometheus's format."""
    return Response(current_app.extensions["metrics"](), content_type=CONTENT_TYPE)
