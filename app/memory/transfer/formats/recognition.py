"""Of which format a source is, by what it says and not by its name."""

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from app.memory.transfer.formats import (
    archive,
    chatgpt,
    claude,
    claude_memories,
    json_items,
    mem0,
    openmemory,
)
from app.memory.transfer.models import MODELS, MemoryLine
from app.memory.transfer.records import NotThisFormat

OWN = "lines"
"""The name of this service's own format."""

_EXPORTS = re.compile(f"{chatgpt.FILES.pattern}|{claude.FILES.pattern}")
_LISTS = (*mem0.LISTS, *chatgpt.LISTS, *claude.LISTS)

# Inside a text each quote has a backslash before it, so these are names of fields.
_SIGNS = {
    "chatgpt": re.compile(rb'"mapping"\s*:\s*\{'),
    "claude": re.compile(rb'"(chat_messages|memory_files|conversations_memory)"\s*:'),
    "mem0": re.compile(rb'\s*[\[{].*?"memory"\s*:', re.DOTALL),
}


def begins_as(name: str, beginning: bytes) -> bool:
    """Whether these bytes are the beginning of JSON of the format `name`."""
    return bool(_SIGNS[name].search(beginning))


def told(stream: BinaryIO) -> str | None:
    """The name of the format of a file, by the first item of it; None where it is no known one.
    The file is left at its beginning."""
    stream.seek(0)
    try:
        return _told(stream)
    except (NotThisFormat, json_items.Broken):
        return None
    finally:
        stream.seek(0)


def _told(stream: BinaryIO) -> str | None:
    if openmemory.is_it(stream):
        return "openmemory"
    for file in archive.files(stream, _EXPORTS):
        found = next(json_items.items(file, _LISTS), None)
        name = found and _by_item(found.value)
        if name:
            return name
    return None


def _by_item(value: Any) -> str | None:
    if _is_own(value):
        return OWN
    if chatgpt.is_conversation(value):
        return "chatgpt"
    if claude.is_conversation(value) or claude_memories.are_in(value):
        return "claude"
    if isinstance(value, Mapping) and (isinstance(value.get("memory"), str) or "results" in value):
        return "mem0"
    return None


def _is_own(value: Any) -> bool:
    """A line of this service has a type, or nothing but what a memory may have here."""
    if not isinstance(value, Mapping):
        return False
    if "type" in value:
        return str(value["type"]) in MODELS
    return "memory" in value and value.keys() <= MemoryLine.model_fields.keys()
