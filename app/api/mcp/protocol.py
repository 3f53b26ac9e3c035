"""MCP's messages: JSON-RPC 2.0, one request in each POST.

Follows the specifications of 2026-07-28 (transports, basic protocol) and 2025-11-25.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

MODERN = ("2026-07-28",)
"""Revisions in which each request carries all that is needed to understand it."""

HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Revisions that begin with `initialize`, the newest first."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

VERSION_HEADER = "MCP-Protocol-Version"
_VERSION = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER = "io.modelcontextprotocol/serverInfo"

Message = dict[str, Any]


class Headers(Protocol):
    """The headers of a request; names are matched in any case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True)
class Call:
    """A request that was understood."""

    id: str | int
    method: str
    params: Message
    modern: bool

    def answer(self, result: Message) -> Message:
        return {"jsonrpc": "2.0", "id": self.id, "result": result}


class RpcError(Exception):
    """A JSON-RPC error. `call` is the request that it answers, where that was understood."""

    def __init__(self, code: int, message: str, call: Call | None = None, data: Any = None) -> None:
        super().__init__(message)
        self._code = code
        self._call = call
        self._data = data

    def answer(self) -> Message:
        error: Message = {"code": self._code, "message": str(self)}
        if self._data is not None:
            error["data"] = self._data
        return {"jsonrpc": "2.0", "id": self._call and self._call.id, "error": error}

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer. Before 2026-07-28 a request that was understood gets 200, even
        where the answer is an error."""
        if self._call and not self._call.modern:
            return HTTPStatus.OK
        unknown = self._code == METHOD_NOT_FOUND
        return HTTPStatus.NOT_FOUND if unknown else HTTPStatus.BAD_REQUEST


def read(message: Any, headers: Headers) -> Call | None:
    """The request in a POST; None for a notification, all of which are ignored.

    Raises RpcError.
    """
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message.")
    method, params, id_ = (message.get(name) for name in ("method", "params", "id"))
    if not isinstance(method, str) or not isinstance(params, dict | None):
        raise RpcError(INVALID_REQUEST, "The body must be a request with a method.")
    if "id" not in message:
        return None
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        raise RpcError(INVALID_REQUEST, "The id of a request must be a text or an integer.")
    call = Call(id_, method, params or {}, _is_modern(method, params or {}, headers))
    if call.modern:
        _check(call, headers)
    return call


def _is_modern(method: str, params: Message, headers: Headers) -> bool:
    said = headers.get(VERSION_HEADER)
    if said is None:
        return method != "initialize" and _VERSION in _meta(params)
    return said not in HANDSHAKE


def _meta(params: Message) -> Message:
    meta = params.get("_meta")
    return meta if isinstance(meta, dict) else {}


def _check(call: Call, headers: Headers) -> None:
    """Raises RpcError where the headers of a modern request, which proxies read, differ from its
    body."""
    meta, said = _meta(call.params), headers.get(VERSION_HEADER)
    if _VERSION in meta and meta[_VERSION] != said:
        raise RpcError(
            HEADER_MISMATCH, f"{VERSION_HEADER} is not the version in params._meta.", call
        )
    if said not in MODERN:
        supported = {"supported": [*MODERN, *HANDSHAKE], "requested": said}
        raise RpcError(UNSUPPORTED_VERSION, "This version is not supported.", call, supported)
    if missing := [key for key in (_VERSION, _CAPABILITIES) if key not in meta]:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}.", call)
    if headers.get("Mcp-Method") != call.method:
        raise RpcError(HEADER_MISMATCH, "Mcp-Method is not the method of the body.", call)
    if call.method == "tools/call" and headers.get("Mcp-Name") != call.params.get("name"):
        raise RpcError(HEADER_MISMATCH, "Mcp-Name is not the name of the tool in the body.", call)
