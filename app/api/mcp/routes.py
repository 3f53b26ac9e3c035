"""POST /mcp: answers one message."""

from typing import Any

from flask import Blueprint, Response, json, request

from app.api.http.auth import principal
from app.api.http.body import body
from app.api.mcp import tools
from app.api.mcp.protocol import (
    HANDSHAKE,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MODERN,
    PARSE_ERROR,
    SERVER,
    Call,
    Message,
    RpcError,
    read,
)
from app.config import VERSION
from app.errors import InvalidRequest

bp = Blueprint("mcp", __name__)

NAME = {"name": "memory-service-api", "title": "Memory Service API", "version": VERSION}
INSTRUCTIONS = (
    "Remembers facts about users across conversations. Search it before answering what may depend "
    "on what a user said or did before; add what is worth knowing next time."
)
CAPABILITIES = {"tools": {"listChanged": False}}
TTL_MS = 300_000
"""How long a host may cache the list of tools, in ms; it changes when the service is upgraded."""


@bp.post("/mcp")
def mcp() -> Response:
    try:
        call = read(_message(), request.headers)
        if call is None:
            return Response(status=202)
        return _json(call.answer(_result(call)))
    except RpcError as error:
        return _json(error.answer(), error.status)


def _message() -> Any:
    try:
        return body()
    except InvalidRequest as error:
        raise RpcError(PARSE_ERROR, error.detail) from None


def _json(message: Message, status: int = 200) -> Response:
    return Response(json.dumps(message), status, mimetype="application/json")


def _result(call: Call) -> Message:
    match call.method:
        case "initialize" if not call.modern:
            return _initialized(call)
        case "ping" if not call.modern:
            return {}
        case "server/discover" if call.modern:
            known = {"supportedVersions": [*MODERN], "capabilities": CAPABILITIES}
            return _modern({**known, "instructions": INSTRUCTIONS}, cached=True)
        case "tools/list":
            listed = {"tools": tools.listed(principal())}
            return _modern(listed, cached=True) if call.modern else listed
        case "tools/call":
            called = _called(call)
            return _modern(called) if call.modern else called
    raise RpcError(METHOD_NOT_FOUND, "There is no such method.", call)


def _initialized(call: Call) -> Message:
    wanted = call.params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[0],
        "capabilities": CAPABILITIES,
        "serverInfo": NAME,
        "instructions": INSTRUCTIONS,
    }


def _called(call: Call) -> Message:
    name, arguments = call.params.get("name"), call.params.get("arguments", {})
    tool = tools.TOOLS.get(name) if isinstance(name, str) else None
    if tool is None:
        raise RpcError(INVALID_PARAMS, "There is no tool with this name.", call)
    if not isinstance(arguments, dict | None):
        raise RpcError(INVALID_PARAMS, "arguments must be an object.", call)
    return tools.call(tool, principal(), arguments or {})


def _modern(result: Message, *, cached: bool = False) -> Message:
    """`result` in the form of 2026-07-28. `cached`: the host may cache it, for this caller alone,
    because tools depend on the key."""
    cache = {"ttlMs": TTL_MS, "cacheScope": "private"} if cached else {}
    return {**result, **cache, "resultType": "complete", "_meta": {SERVER: NAME}}
