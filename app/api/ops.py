"""For operators and tools: is it up, and what does it speak."""

from pathlib import Path

from flask import Blueprint, Response, current_app, send_file

bp = Blueprint("ops", __name__)


@bp.get("/health")
def health() -> dict[str, str]:
    """The process answers. Asks nothing of any dependency: a restart would not help those."""
    return {"status": "ok"}


@bp.get("/openapi.yaml")
def openapi() -> Response:
    contract = Path(current_app.root_path).parent / "openapi.yaml"
    return send_file(contract, mimetype="application/yaml")
