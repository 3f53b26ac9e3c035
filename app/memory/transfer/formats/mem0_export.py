"""Turns each field of an export of mem0's Platform into a memory.

For an export an LLM fills in a form, such as `{"full_name": "Dev", "skills": ["Go", "SQL"]}`
(mem0ai/mem0, docs/platform/features/memory-export.mdx). It does not contain the memories
themselves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.memory.transfer.records import ImportedMemory, Item, Refused

MAX_DEPTH = 10


def fields_as_memories(line: int, key: str, value: Any, depth: int = MAX_DEPTH) -> Iterator[Item]:
    """A memory `key: value`; for an object one for each of its fields. Empty values are skipped,
    because they mean that the value was not known."""
    if value is None or value == "" or value == [] or value == {}:
        return
    if isinstance(value, Mapping):
        if not depth:
            yield Refused(line, f"an export nests deeper than {MAX_DEPTH} levels")
            return
        for inner, one in value.items():
            yield from fields_as_memories(line, f"{key} {inner}", one, depth - 1)
        return
    yield ImportedMemory(
        line=line,
        memory=f"{key.replace('_', ' ')}: {_shown(value)}",
        scope={},
        metadata={"source": "mem0 export", "field": key},
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
