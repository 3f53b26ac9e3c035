"""ChatGPT's data export."""

import json
from typing import Any

import pytest

from app.memory.fields import MAX_TEXT
from app.memory.transfer.records import ImportedConversation, ImportedMemory, ImportedMessage
from tests.unit.formats.samples import (
    chatgpt_zip,
    conversations,
    memories,
    owned,
    read,
    reason,
    refused,
    sample,
    zipped,
)


def conversation(*messages: dict[str, Any], **fields: Any) -> bytes:
    """One where each message follows the one before it."""
    nodes = {
        str(n): {"id": str(n), "parent": str(n - 1) if n else None, "message": message}
        for n, message in enumerate(messages)
    }
    return json.dumps([{"mapping": nodes, "conversation_id": "c1", **fields}]).encode()


def text(text: str, role: str = "user", **fields: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    return {"author": {"role": role}, "content": content, **fields}


def said(source: bytes) -> list[str]:
    return [m.content for one in conversations(read("chatgpt", source)) for m in one.messages]


def test_what_was_shown_of_a_conversation_is_said_and_nothing_else() -> None:
    kept, first, second, empty = read("chatgpt", sample("chatgpt-conversations.json"))
    assert first == ImportedConversation(
        line=1,
        id="6a3523d9-cad4-83ec-bdcc-21f12f7d807b",
        title="Dinner plans",
        scope={"run_id": "6a3523d9-cad4-83ec-bdcc-21f12f7d807b"},
        timestamp="2025-12-14T00:19:33.680000+00:00",
        messages=[
            ImportedMessage(
                "user",
                "I am allergic to nuts. What can I cook?",
                time="2025-12-14T00:19:40.500000+00:00",
            ),
            ImportedMessage(
                "assistant",
                "Try a risotto without pesto.",
                time="2025-12-14T00:19:44.000000+00:00",
            ),
            ImportedMessage("user", "Thank you", time="2025-12-14T00:19:50.000000+00:00"),
        ],
    )
    assert kept == ImportedMemory(
        line=1,
        id="saved Is allergic to nuts.",
        memory="Is allergic to nuts.",
        scope={},
        metadata={"source": "chatgpt"},
        created_at="2025-12-14T00:19:41.000000+00:00",
    )
    assert isinstance(second, ImportedConversation)
    assert [m.content for m in second.messages] == ["My dog is called Rex", "Hello Rex!"]
    assert empty == (3, "nothing was said in this conversation")


def test_a_zip_gives_its_conversations_and_memories() -> None:
    items = read("chatgpt", chatgpt_zip())
    assert len(conversations(items)) == 2
    assert [one.memory for one in memories(items)] == ["Is allergic to nuts."] * 2
    assert len({one.id for one in memories(owned("chatgpt", items))}) == 1
    assert refused(items)[-1] == (5, "it is switched off in ChatGPT")


def test_a_zip_of_something_else_is_not_this_format() -> None:
    assert "none of the files" in reason("chatgpt", zipped({"photo.json": b"[]"}).read())


def test_whose_a_conversation_is_must_be_said() -> None:
    items = read("chatgpt", sample("chatgpt-conversations.json"))
    assert "give a user_id" in refused(owned("chatgpt", items, None))[0].reason
    for one in conversations(owned("chatgpt", items)):
        assert one.scope["user_id"] == "me"


def test_an_id_that_may_not_be_a_run_id_is_replaced_by_the_same_one_each_time() -> None:
    def run_id(given: Any) -> str:
        (one,) = conversations(read("chatgpt", conversation(text("Hi"), conversation_id=given)))
        return one.scope["run_id"]

    assert run_id("c1") == "c1"
    assert run_id("with space") == run_id("with space") != run_id("with  space")
    assert run_id("x" * 1000)
    assert run_id(None) == run_id(5)


def test_a_text_longer_than_this_service_takes_is_said_in_pieces() -> None:
    line = "All work and no play\n"
    long = line * (2 * MAX_TEXT // len(line))
    pieces = said(conversation(text(long)))
    assert "".join(pieces) == long
    assert all(len(piece) <= MAX_TEXT and piece.endswith("\n") for piece in pieces)
    assert [len(piece) for piece in said(conversation(text("x" * (MAX_TEXT + 1))))] == [MAX_TEXT, 1]


@pytest.mark.parametrize(
    "message",
    [
        text("hidden", metadata={"is_visually_hidden_from_conversation": True}),
        text("search('x')", "assistant", recipient="web"),
        text("result", "tool"),
        text("You are ChatGPT", "system"),
        text(" \n "),
        {"author": {"role": "user"}, "content": {"content_type": "code", "text": "1"}},
        {"author": None, "content": None},
        {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [None, 5, {}]}},
    ],
)
def test_a_message_that_nobody_said_is_passed_over(message: dict[str, Any]) -> None:
    assert said(conversation(text("Hello"), message, text("Bye"))) == ["Hello", "Bye"]


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": {"parent": "b", "message": text("A")}, "b": {"parent": "a", "message": text("B")}},
        {"a": {"parent": "a", "message": text("A")}},
        {"a": None, "b": 5, "c": {"parent": ["a"]}},
        {},
    ],
)
def test_a_tree_that_is_none_comes_to_an_end(mapping: dict[str, Any]) -> None:
    for current in ("a", None, "nowhere", 5):
        source = json.dumps([{"mapping": mapping, "current_node": current}]).encode()
        assert len(read("chatgpt", source)) == 1


def test_half_a_surrogate_pair_does_no_harm() -> None:
    source = b'[{"mapping": {"a": {"message": {"author": {"role": "user"}, "content":'
    source += b' {"content_type": "text", "parts": ["cut \\ud83d"]}}}}, "title": "\\ud83d"}]'
    (one,) = conversations(owned("chatgpt", read("chatgpt", source)))
    assert one.messages[0].content == "cut \ufffd"
