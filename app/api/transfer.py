"""How memories leave, and how they come."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Blueprint, Response, current_app, request

from app.api.http.auth import principal, writes
from app.api.http.body import parse
from app.api.http.upload import JSON, LINES, Upload
from app.errors import FieldError, InvalidRequest, ServiceError
from app.memory import MemoryService
from app.memory.transfer.lines import joined
from app.memory.transfer.requests import ExportRequest, ForeignRequest, ImportRequest
from app.memory.validation import validated

log = logging.getLogger(__name__)

bp = Blueprint("transfer", __name__)

SENT_AT_ONCE = 64 * 1024
TRUTHS = {"true": True, "false": False}
FLAGS = ("infer", "dry_run")


def memory() -> MemoryService:
    service: MemoryService = current_app.extensions["memory"]
    return service


@bp.post("/export")
def export() -> Response:
    lines = memory().transfer.export_lines(principal(), parse(ExportRequest))
    first = next(lines)  # what fails before it still has a status
    named = {"Content-Disposition": 'attachment; filename="memories.jsonl"'}
    pieces = joined(_logged(chain([first], lines)), SENT_AT_ONCE)
    return Response(pieces, mimetype=LINES[0], headers=named)


@bp.post("/import")
@writes
def import_() -> dict[str, Any]:
    asked = validated(ImportRequest, _options(), principal())
    return memory().transfer.import_lines(principal(), asked, Upload(LINES).read).to_json()


@bp.post("/import/<format>")
@writes
def import_foreign(format: str) -> dict[str, Any]:
    asked = validated(ForeignRequest, _options(), principal())
    body = Upload(JSON)
    return memory().transfer.import_foreign(principal(), format, asked, body.read).to_json()


def _logged(lines: Iterator[bytes]) -> Iterator[bytes]:
    """What fails on the way breaks the connection off: there is no last line then."""
    try:
        yield from lines
    except ServiceError as error:
        log.error("an export broke off: %s", error.code)
        raise


def _options() -> dict[str, Any]:
    """Of the address: the body is the lines."""
    if twice := [name for name, values in request.args.lists() if len(values) > 1]:
        raise InvalidRequest(
            "The request has wrong fields.", [FieldError(twice[0], "is given twice")]
        )
    return {
        name: TRUTHS.get(value, value) if name in FLAGS else value
        for name, value in request.args.items()
    }
