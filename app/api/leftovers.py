"""POST /leftovers: the admin checks whether anything of a scope is still stored."""

from typing import Any

from flask import Blueprint

from app.api.http.auth import admin_only, principal
from app.api.http.body import parse
from app.api.memory.routes import memory
from app.memory.leftovers import LeftoversRequest

bp = Blueprint("leftovers", __name__)


@bp.post("/leftovers")
@admin_only
def leftovers() -> dict[str, Any]:
    return memory().leftovers(principal(), parse(LeftoversRequest))
