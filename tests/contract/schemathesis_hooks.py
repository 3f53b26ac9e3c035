"""What schemathesis cannot know of the contract: how a cursor is made.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), in its own process.
"""

import base64
import json

import schemathesis
from hypothesis import strategies as st


def encode(time: str, ids: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([time, *ids]).encode()).decode()


times = st.datetimes(timezones=st.just(None)).map(lambda time: f"{time.isoformat()}+00:00")
schemathesis.openapi.format("cursor", st.builds(encode, times, st.lists(st.uuids().map(str))))
