"""What schemathesis cannot know of the contract: how a cursor is made, and what time it is.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), in its own process.
"""

import base64
import json
import time
from datetime import datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st


def encode(time: str, ids: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([time, *ids]).encode()).decode()


times = st.datetimes(timezones=st.just(None)).map(lambda time: f"{time.isoformat()}+00:00")
schemathesis.openapi.format("cursor", st.builds(encode, times, st.lists(st.uuids().map(str))))


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, text: Any) -> bytes:
    """No lines are made up: what is no text is sent as the only one."""
    return text.encode() if isinstance(text, str) else json.dumps(text).encode()


@schemathesis.deserializer("application/x-ndjson")
def text(_context: Any, response: Any) -> str:
    return str(response.content.decode())


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """No schema can say that a time is not in the future."""
    if isinstance(case.body, dict) and _is_later(case.body.get("timestamp")):
        case.body["timestamp"] = 0


def _is_later(timestamp: Any) -> bool:
    if isinstance(timestamp, str):
        try:
            return datetime.fromisoformat(timestamp).year > 2025
        except ValueError:
            return False
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return False
    units = (timestamp / 1000**n for n in range(4))  # seconds to nanoseconds
    return next((unit for unit in units if unit <= 1e11), 0) > time.time()
