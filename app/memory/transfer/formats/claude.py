"""The data export of Claude: a zip with `conversations.json`, and often with `memories.json` or
`memories/ID.json`. Newer exports have a zip for each of these. One of the files alone will do, too.

Anthropic publishes no schema. The file is a list of conversations with `uuid`, `name`, `created_at`
and `chat_messages`. Each message has `uuid`, `sender` (human, assistant), `text`, `content`,
`created_at` and `parent_message_uuid`. `content` is a list of blocks; those of type `text` were
said. `text` mixes thoughts and placeholders into answers, and is used only where `content` is
empty. After an edit the messages are a tree; the branch that was shown ends with the last message.
Sources: PiniShv/AnthropicReader, docs/export-format.md; Sinity/polylogue,
docs/providers/claude-ai.md.

The memories are notes in Markdown: see claude_memories.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from app.memory.transfer.formats import claude_memories, json_items, said
from app.memory.transfer.formats.reading import each_in_files
from app.memory.transfer.formats.values import Unreadable, time_or_none
from app.memory.transfer.records import ImportedConversation, ImportedMessage, Item

FILES = re.compile(r"(?!__MACOSX/)(.*/)?(conversations(-\d+)?|memories|memories/[^/]+)\.json")
LISTS = ("conversations",)
ROLES = {"human": "user", "user": "user", "assistant": "assistant"}


def is_conversation(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("chat_messages"), list)


def read(stream: BinaryIO) -> Iterator[Item]:
    return each_in_files(stream, FILES, LISTS, _read)


def _read(line: int, found: json_items.Found) -> Iterator[Item]:
    value = found.value
    if is_conversation(value):
        yield _conversation(line, value)
    elif claude_memories.are_in(value):
        yield from claude_memories.read(line, value)
    elif found.key != json_items.REST or value:
        raise Unreadable("it is no conversation of Claude")


def _conversation(line: int, given: Mapping[str, Any]) -> ImportedConversation:
    messages = [one for turn in _shown(given["chat_messages"]) for one in _messages(turn)]
    if not messages:
        raise Unreadable("nothing was said in this conversation")
    return said.conversation(
        line, messages, given.get("uuid"), given.get("name"), given.get("created_at")
    )


def _shown(messages: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """The branch that ends with the last message; all messages in older exports, which have no
    branches."""
    known = [one for one in messages if isinstance(one, Mapping)]
    by_id = {one["uuid"]: one for one in known if isinstance(one.get("uuid"), str)}
    if not any(isinstance(one.get("parent_message_uuid"), str) for one in known):
        return known
    path: list[Mapping[str, Any]] = []
    seen = set()
    at = known[-1].get("uuid")
    while isinstance(at, str) and at in by_id and at not in seen:
        seen.add(at)
        path.append(by_id[at])
        at = by_id[at].get("parent_message_uuid")
    return path[::-1]


def _messages(given: Mapping[str, Any]) -> Iterator[ImportedMessage]:
    """The message of a turn; nothing for a turn without words or of an unknown sender."""
    role = ROLES.get(str(given.get("sender")))
    if role is not None:
        yield from said.messages(role, _text(given), time_or_none(given.get("created_at")))


def _text(given: Mapping[str, Any]) -> str:
    blocks = given.get("content")
    if isinstance(blocks, list) and blocks:
        texts = [
            b.get("text") for b in blocks if isinstance(b, Mapping) and b.get("type") == "text"
        ]
        return "\n".join(text for text in texts if isinstance(text, str) and text)
    text = given.get("text")
    return text if isinstance(text, str) else ""
