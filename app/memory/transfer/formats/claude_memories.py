"""Claude's own memories in its export.

`{"account_uuid", "conversations_memory": "Markdown", "project_memories": {PROJECT: "Markdown"},
"memory_files": [{"path", "content", "updated_at"}]}`, each of which may be absent. Each bullet and
paragraph becomes a memory; its heading, project or file goes to the metadata. Source:
PiniShv/AnthropicReader, docs/export-format.md, section 7.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.memory.transfer.formats.statements import statements
from app.memory.transfer.formats.values import Unreadable, time_or_none
from app.memory.transfer.records import ImportedMemory, Item

KEYS = ("conversations_memory", "project_memories", "memory_files")


def are_in(value: Any) -> bool:
    return isinstance(value, Mapping) and any(key in value for key in KEYS)


def read(line: int, given: Mapping[str, Any]) -> Iterator[Item]:
    """The memories in `given`. Raises Unreadable where there are none."""
    found = False
    for notes, told, time in _notes(given):
        for statement in statements(notes):
            found = True
            heading = {"section": statement.heading} if statement.heading else {}
            metadata = {"source": "claude", **told, **heading}
            yield ImportedMemory(
                line=line,
                id=" / ".join((*metadata.values(), statement.text)),
                memory=statement.text,
                scope={},
                metadata=metadata,
                created_at=time_or_none(time),
            )
    if not found:
        raise Unreadable("it has no memories")


def _notes(given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], Any]]:
    """The texts, each with its metadata, and the time of its last change where that is known."""
    of_all = given.get("conversations_memory")
    if isinstance(of_all, str):
        yield of_all, {}, None
    projects = given.get("project_memories")
    for project, notes in projects.items() if isinstance(projects, Mapping) else ():
        if isinstance(notes, str):
            yield notes, {"project": project}, None
    files = given.get("memory_files")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, Mapping) and isinstance(file.get("content"), str):
            yield file["content"], {"file": str(file.get("path"))}, file.get("updated_at")
