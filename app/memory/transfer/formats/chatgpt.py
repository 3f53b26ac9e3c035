"""The data export of ChatGPT: a zip with `conversations.json`, or with `conversations-000.json`,
`-001.json` and so on in newer ones; or one of these files alone.

OpenAI publishes no schema. The file is a list of conversations, each with `conversation_id`,
`title`, `create_time` and a tree of messages (see chatgpt_messages). Sources:
mitkury/chatgpt-export-parser, docs/chatgpt-data-export-format.md;
TomzxCode/llm-conversations-viewer, docs/formats.md; pionxzh/chatgpt-exporter, src/api.ts, for the
kinds of content.

Most exports have no file with ChatGPT's own memories. They are read from the calls that saved them
(messages to the recipient `bio`), and from `memory.json` or `memories.json`, a list of objects with
`content`, where there is one. The call of a memory that was deleted later is still in the export,
so such a memory is imported, too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from app.memory.transfer.formats import json_items, said
from app.memory.transfer.formats.chatgpt_messages import shown
from app.memory.transfer.formats.reading import each_in_files
from app.memory.transfer.formats.values import Unreadable, text_of, time_of, time_or_none
from app.memory.transfer.records import ImportedMemory, Item

FILES = re.compile(r"(?!__MACOSX/)(.*/)?(conversations(-\d+)?|memory|memories)\.json")
LISTS = ("conversations", "memories")
BIO = "bio"


def is_conversation(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("mapping"), Mapping)


def read(stream: BinaryIO) -> Iterator[Item]:
    return each_in_files(stream, FILES, LISTS, _read)


def _read(line: int, found: json_items.Found) -> Iterator[Item]:
    value = found.value
    if is_conversation(value):
        yield from _conversation(line, value)
    elif isinstance(value, Mapping) and isinstance(value.get("content"), str):
        yield _saved(line, value)
    elif found.key != json_items.REST or value:
        raise Unreadable("it is no conversation of ChatGPT")


def _saved(line: int, given: Mapping[str, Any]) -> ImportedMemory:
    """A memory from a file of memories."""
    if given.get("enabled") is False:
        raise Unreadable("it is switched off in ChatGPT")
    return _memory(
        line,
        text_of(given["content"], "content") or "",
        created_at=time_of(given.get("created_at", given.get("create_time")), "created_at"),
        updated_at=time_of(given.get("updated_at"), "updated_at"),
    )


def _memory(
    line: int, text: str, created_at: str | None, updated_at: str | None = None
) -> ImportedMemory:
    # Several conversations may have saved the same fact. The id makes it one memory.
    return ImportedMemory(
        line=line,
        id=f"saved {text}",
        memory=text,
        scope={},
        metadata={"source": "chatgpt"},
        created_at=created_at,
        updated_at=updated_at,
    )


def _conversation(line: int, given: Mapping[str, Any]) -> Iterator[Item]:
    path = shown(given)
    kept = [one for one in path if one.recipient == BIO and one.role == "assistant"]
    for one in kept:
        yield _memory(line, one.text, created_at=time_or_none(one.time))
    messages = [
        message
        for one in path
        if one.is_said
        for message in said.messages(one.role, one.text, time_or_none(one.time))
    ]
    if not messages and not kept:
        raise Unreadable("nothing was said in this conversation")
    if messages:
        own_id = given.get("conversation_id") or given.get("id")
        began = given.get("create_time")
        yield said.conversation(line, messages, own_id, given.get("title"), began)
