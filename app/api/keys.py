"""API keys: the admin mints, lists and revokes them."""

import re
from typing import Any

from flask import Blueprint, current_app

from app.api.http.auth import admin_only, principal, writes
from app.api.http.body import parse
from app.errors import FieldError, InvalidRequest, KeysNotConfigured
from app.memory.keys import KeyService, MintRequest, utc

bp = Blueprint("keys", __name__, url_prefix="/keys")

IN_EVERY_APP = "It sees its scope in every app; give app_id to bind it to one."


def keys() -> KeyService:
    service: KeyService | None = current_app.extensions["keys"]
    if service is None:
        raise KeysNotConfigured
    return service


@bp.post("")
@admin_only
@writes
def mint() -> tuple[dict[str, Any], int]:
    minted = keys().mint(principal(), parse(MintRequest))
    who, ends_at = minted.grant
    answer = {
        "key": minted.key,
        "id": who.id,
        "scope": who.scope,
        "read_only": who.read_only,
        "ends_at": utc(ends_at),
    }
    return answer if "app_id" in who.scope else answer | {"note": IN_EVERY_APP}, 201


@bp.get("")
@admin_only
def listed() -> dict[str, Any]:
    return {"keys": keys().listed(principal())}


@bp.delete("/<id>")
@admin_only
@writes
def revoke(id: str) -> dict[str, str]:
    if not re.fullmatch("[0-9a-f]{8}", id):
        wrong = FieldError("id", "must be the eight characters of 0-9 and a-f that minting printed")
        raise InvalidRequest("The address has a wrong id.", [wrong])
    keys().revoke(principal(), id)
    return {"message": f"The key {id} is revoked."}
