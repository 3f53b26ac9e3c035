"""Export and import."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Blueprint, Response, request

from app.api.http.auth import principal, writes
from app.api.http.body import parse
from app.api.http.upload import JSON, LINES, Upload
from app.api.memory.routes import memory
from app.errors import FieldError, InvalidRequest, ServiceError
from app.memory.transfer.lines import joined
from app.memory.transfer.requests import ExportRequest, ForeignRequest, ImportRequest
from app.memory.validation import validated

log = logging.getLogger(__name__)

bp = Blueprint("transfer", __name__)

SENT_AT_ONCE = 64 * 1024
TRUTHS = {"true": True, "false": False}
FLAGS = ("infer", "dry_run")


@bp.post("/export")
def export() -> Response:
    lines = memory().transfer.export_lines(principal(), parse(ExportRequest))
    pieces = joined(lines, SENT_AT_ONCE)
    first = next(pieces)  # a failure up to here still gets its status
    named = {"Content-Disposition": 'attachment; filename="memories.jsonl"'}
    return Response(_logged(chain([first], pieces)), mimetype=LINES[0], headers=named)


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


def _logged(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """`pieces`; logs a failure on the way. It then breaks the connection off, so that the last
    line, which says that the export is whole, is missing."""
    try:
        yield from pieces
    except ServiceError as error:
        log.error("an export broke off: %s", error.code)
        raise


def _options() -> dict[str, Any]:
    """The options in the query; the body is the data."""
    if twice := [name for name, values in request.args.lists() if len(values) > 1]:
        raise InvalidRequest(
            "The request has wrong fields.", [FieldError(twice[0], "is given twice")]
        )
    return {
        name: TRUTHS.get(value, value) if name in FLAGS else value
        for name, value in request.args.items()
    }
