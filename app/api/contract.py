"""Serves the contract of the API, openapi.yaml: as it is, as JSON, and in OpenAPI 3.0."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, Response, current_app, request, send_file

from app.api.http.auth import open_to_all
from app.api.openapi_30 import to_30

bp = Blueprint("contract", __name__)


@bp.get("/openapi.yaml")
@open_to_all
def as_yaml() -> Response:
    return send_file(_path(), mimetype="application/yaml")


@bp.get("/openapi.json")
@open_to_all
def as_json() -> dict[str, Any]:
    return _contract(_path())


@bp.get("/openapi-3.0.json")
@open_to_all
def as_30() -> dict[str, Any]:
    # Tools that read only 3.0 also need `servers`.
    return {**_contract_30(_path()), "servers": [{"url": request.url_root.rstrip("/")}]}


def _path() -> Path:
    return Path(current_app.root_path).parent / "openapi.yaml"


@cache
def _contract(path: Path) -> dict[str, Any]:
    # The loader in C takes 0.1 s, the one in Python 1 s.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    contract: dict[str, Any] = yaml.load(path.read_text(), loader)  # noqa: S506  (both are safe)
    return contract


@cache
def _contract_30(path: Path) -> dict[str, Any]:
    return to_30(_contract(path))
