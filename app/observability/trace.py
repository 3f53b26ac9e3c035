"""W3C Trace Context: what a request brings is passed on to whom the service calls for it.

https://www.w3.org/TR/trace-context/. The service records no spans: each call it makes gets a
parent id of its own in the same trace. OpenTelemetry's auto-instrumentation, where an operator
adds it, writes its own in their place.
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
"""Of the request at work; None where it brought no valid one."""


def parse(parent: str, state: str = "") -> Trace | None:
    """From the headers `traceparent` and `tracestate`. None for a parent outside the grammar; a
    state outside of it is left away, as the standard says."""
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
    """What one outgoing call has to carry for the trace to go on; nothing where there is none."""
    current = trace.get()
    if current is None:
        return {}
    found = {"traceparent": f"00-{current.id}-{_new_id()}-{current.flags:02x}"}
    return found | ({"tracestate": current.state} if current.state else {})


def pass_on(request: Any) -> None:
    """An event hook of httpx that does it."""
    request.headers.update(headers())


def _new_id() -> str:
    return f"{secrets.randbits(64) or 1:016x}"
