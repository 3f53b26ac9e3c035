"""Whatever a file holds, its reader names what it cannot read, and raises nothing else."""

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.memory.transfer.formats import FORMATS, inert_pickle, recognition
from app.memory.transfer.formats.finishing import finished
from app.memory.transfer.formats.statements import statements
from app.memory.transfer.records import (
    ImportedConversation,
    ImportedMemory,
    NotThisFormat,
    Refused,
)
from tests.unit.formats.samples import chatgpt_zip, claude_zip, openmemory_zip, sample

# The same ones in each run: a test that fails now and then says nothing of a change.
QUICK = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

SOURCES = {
    "mem0": [sample("mem0-v1-list.json"), sample("mem0-export.json")],
    "chatgpt": [sample("chatgpt-conversations.json"), chatgpt_zip().read()],
    "claude": [sample("claude-memories.json"), claude_zip().read()],
    "openmemory": [openmemory_zip().read()],
}
KEYS = [
    *("memory", "results", "data", "id", "metadata", "created_at", "user_id", "next"),
    *("mapping", "current_node", "message", "parent", "author", "role", "content", "parts"),
    *("content_type", "recipient", "conversation_id", "title", "create_time", "text"),
    *("chat_messages", "sender", "uuid", "parent_message_uuid", "type", "memory_files"),
    *("project_memories", "conversations_memory", "path", "a"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["user", "assistant", "bio", "text", "a", "2024-01-01", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=30,
)


def check(name: str, source: bytes) -> None:
    with suppress(NotThisFormat):
        for item in finished(name, FORMATS[name](io.BytesIO(source)), {"user_id": "me"}):
            assert isinstance(item, ImportedMemory | ImportedConversation | Refused)
            assert item.line >= 1


@pytest.mark.parametrize("name", FORMATS)
@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(name: str, source: bytes) -> None:
    check(name, source)
    recognition.recognised(io.BytesIO(source))


@pytest.mark.parametrize("name", FORMATS)
@QUICK
@given(VALUES)
def test_any_json(name: str, value: Any) -> None:
    check(name, json.dumps(value).encode())
    check(name, json.dumps([value, {"memory": "x", "chat_messages": [value]}]).encode())
    check(name, json.dumps([{"mapping": {"a": value}, "current_node": "a"}]).encode())


@pytest.mark.parametrize("name", FORMATS)
@QUICK
@given(st.data())
def test_any_sample_with_some_bytes_changed(name: str, data: st.DataObject) -> None:
    source = bytearray(data.draw(st.sampled_from(SOURCES[name])))
    for _ in range(data.draw(st.integers(1, 8))):
        source[data.draw(st.integers(0, len(source) - 1))] = data.draw(st.integers(0, 255))
    check(name, bytes(source[: data.draw(st.integers(0, len(source)))]))
    check(name, bytes(source))


@QUICK
@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda b: b"\x80\x04" + b + b"."))
def test_any_pickle(source: bytes) -> None:
    with suppress(inert_pickle.Unsafe):
        inert_pickle.plain(inert_pickle.loads(source))


@QUICK
@given(st.text(alphabet="*-#_ \n\rab1.)", max_size=60))
def test_any_notes(text: str) -> None:
    assert all(one.text.strip() for one in statements(text))
