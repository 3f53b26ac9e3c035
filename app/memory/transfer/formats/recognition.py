"""Recognises the format of a source by its content, not by its name."""

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


def recognised(stream: BinaryIO) -> str | None:
    """The name of the format of a file, by its first item; None where it is unknown. Leaves the
    file at its beginning."""
    stream.seek(0)
    try:
        return _recognised(stream)
    except (NotThisFormat, json_items.Broken):
        return None
    finally:
        stream.seek(0)


def _recognised(stream: BinaryIO) -> str | None:
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
    """Whether `value` is a line of this service: it has a known type, or only fields of a
    memory."""
    if not isinstance(value, Mapping):
        return False
    if "type" in value:
        return str(value["type"]) in MODELS
    return "memory" in value and value.keys() <= MemoryLine.model_fields.keys()
