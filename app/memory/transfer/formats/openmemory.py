"""The export of OpenMemory, mem0's memory server for a desktop: a zip.

`memories.jsonl.gz` has a memory in each line: id, content, metadata, created_at, updated_at, state,
app, categories. `memories.json` has the tables of OpenMemory's database; only its field `user` says
whose the memories are. Source: mem0ai/mem0, openmemory/api/app/routers/backup.py.

The program that wrote a memory (`app`) becomes metadata, and not an app_id, because OpenMemory
shows a memory to all programs of the user. The categories also become metadata, and so does a state
other than `active`. Deleted memories are not imported.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from app.memory.transfer.formats import archive, json_items
from app.memory.transfer.formats.json_items import Broken
from app.memory.transfer.formats.reading import each
from app.memory.transfer.formats.values import Unreadable, id_of, metadata_of, text_of, time_of
from app.memory.transfer.records import ImportedMemory, Item, NotThisFormat
from app.security.scopes import Scope

LINES = re.compile(r"(.*/)?memories\.jsonl\.gz")
TABLES = re.compile(r"(.*/)?memories\.json")
NOT_A_ZIP = "It is no zip: OpenMemory's export is one, with memories.jsonl.gz in it."
MAX_LINE = 4 * 1024 * 1024  # bytes; OpenMemory's texts are facts of a sentence

_LISTS = frozenset(
    (
        *("apps", "categories", "memories", "memory_categories", "status_history"),
        "access_controls",
    )
)


def is_it(stream: BinaryIO) -> bool:
    return archive.is_zip(stream) and any(map(LINES.fullmatch, archive.names(stream)))


def read(stream: BinaryIO) -> Iterator[Item]:
    if not archive.is_zip(stream):
        raise NotThisFormat(NOT_A_ZIP)
    scope = _scope(stream)

    def read_line(line: int, raw: bytes) -> Iterator[Item]:
        if raw.strip():
            yield _memory(line, raw, scope)

    for packed in archive.files(stream, LINES):
        yield from each(_lines(packed), read_line)


def _scope(stream: BinaryIO) -> Scope:
    """The scope of all memories: the user's name, not the id of the user's row."""
    try:
        for tables in archive.files(stream, TABLES):
            for found in json_items.items(tables, _LISTS):
                user = found.value.get("user") if found.key == json_items.REST else None
                if isinstance(user, Mapping) and isinstance(user.get("user_id"), str):
                    return {"user_id": user["user_id"]}
    except (Broken, NotThisFormat):
        pass  # then the caller has to name a user
    return {}


def _lines(packed: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=packed) as unpacked:
        while True:
            try:
                line = unpacked.readline(MAX_LINE)
            except json_items.DAMAGED:
                raise Broken("the archive is damaged") from None
            if not line:
                return
            if len(line) == MAX_LINE:
                raise Broken(f"a line has more than {MAX_LINE} bytes")
            yield line


def _memory(line: int, raw: bytes, scope: Scope) -> ImportedMemory:
    given = _object(raw)
    if given.get("state") == "deleted":
        raise Unreadable("it is deleted in OpenMemory")
    return ImportedMemory(
        line=line,
        id=id_of(given.get("id")),
        memory=text_of(given.get("content"), "content") or "",
        scope=scope,
        metadata=_metadata(given),
        created_at=time_of(given.get("created_at"), "created_at"),
        updated_at=time_of(given.get("updated_at"), "updated_at"),
    )


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable("the line is no JSON") from None
    if not isinstance(given, Mapping):
        raise Unreadable("the line is no object")
    return given


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    own = metadata_of(given.get("metadata"))
    more = {key: given[key] for key in ("app", "categories") if given.get(key)}
    if given.get("state") not in (None, "active"):
        more["state"] = given["state"]
    return {**metadata_of(more), **own}
