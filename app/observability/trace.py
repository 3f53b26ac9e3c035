"""W3C Trace Context (https://www.w3.org/TR/trace-context/): the trace of a request is passed on
with the calls that the service makes for it.

The service records no spans. Each call that it makes gets a parent id of its own within the trace.
OpenTelemetry's auto-instrumentation, where an operator adds it, overwrites these headers.
"""

import re
import secrets
from contextvars import ContextVar
from typing import Any, NamedTuple

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
MAX_STATE, MAX_MEMBERS = 512, 32
SAMPLED = 1


class Trace(NamedTuple):
    """The trace that a request is part of."""

    id: str
    flags: int
    state: str = ""


trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the current request; None where it has no valid one."""


def parse(parent: str, state: str = "") -> Trace | None:
    """The trace in the headers `traceparent` and `tracestate`. As the standard says, it is None
    where the parent breaks the grammar, and has no state where the state does."""
    found = _PARENT.fullmatch(parent.strip(" \t"))
    if not found:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return Trace(trace_id, int(flags, 16) & SAMPLED, _state(state))


def _state(given: str) -> str:
    members = [member.strip(" \t") for member in given.split(",")]
    members = [member for member in members if member]
    well = len(given) <= MAX_STATE and len(members) <= MAX_MEMBERS
    return ",".join(members) if well and all(map(_MEMBER.fullmatch, members)) else ""


def headers() -> dict[str, str]:
    """The headers that pass the current trace on with one outgoing call; none without a trace."""
    current = trace.get()
    if current is None:
        return {}
    found = {"traceparent": f"00-{current.id}-{_new_id()}-{current.flags:02x}"}
    return found | ({"tracestate": current.state} if current.state else {})


def pass_on(request: Any) -> None:
    """An event hook for httpx that passes the current trace on."""
    request.headers.update(headers())


def _new_id() -> str:
    return f"{secrets.randbits(64) or 1:016x}"
