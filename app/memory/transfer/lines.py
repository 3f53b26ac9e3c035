"""The service's own format: JSON Lines that an export writes and an import reads.

    {"type": "header", "format": "memory-service", "version": 1, "service": "0.2.0",
     "embedder": {"name": ..., "dimensions": ...}}
    {"type": "memory", "id": ..., "memory": ..., "user_id": ..., ..., "history": [...]}
    {"type": "deleted", "id": ..., "user_id": ..., "history": [...]}
    {"type": "end", "memories": 2, "deleted": 1, "events": 5, "sha256": ...}

`sha256` is the hash of all bytes before the last line. An import also takes lines of the type
"conversation", and a line without a type is a memory.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from app.embeddings import EmbedderInfo, Vector
from app.memory.transfer.records import ImportedConversation, ImportedEvent, ImportedMemory

FORMAT, VERSION = "memory-service", 1
MAX_LINE = 16 * 2**20
"""Bytes. A memory of 100,000 characters with twenty changes has at most 12 MB."""

Line = Mapping[str, Any]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DTYPE = np.dtype("<f4")


def dumped(line: Line) -> bytes:
    return _ENCODER.encode(line).encode() + b"\n"


def header(service: str, embedder: EmbedderInfo | None) -> Line:
    """The header. `embedder` made the vectors of the lines; None where they have none."""
    line = {"type": "header", "format": FORMAT, "version": VERSION, "service": service}
    if embedder is None:
        return line
    return line | {"embedder": {"name": embedder.name, "dimensions": embedder.dimensions}}


def event(row: Mapping[str, Any]) -> Line:
    """A row of the history as an event; without the row's id, which an import makes anew."""
    names = ImportedEvent.__dataclass_fields__
    return {name: row[name] for name in names if row.get(name) is not None}


def packed(vector: Vector) -> str:
    """`vector` as base64 of little-endian 32-bit floats: exact, and a third as long as digits."""
    return b64encode(np.asarray(vector, _DTYPE).tobytes()).decode()


def unpacked(text: str) -> Vector:
    """The vector in `text`, see `packed`. Raises ValueError."""
    vector: Vector = np.frombuffer(b64decode(text, validate=True), _DTYPE).tolist()
    return vector


def of_memory(memory: ImportedMemory) -> Line:
    names = ("id", "created_at", "updated_at", "expiration_date", "role", "actor_id")
    values = {name: getattr(memory, name) for name in (*names, "attributed_to", "place")}
    line: dict[str, Any] = {"type": "memory", "memory": memory.memory, **memory.scope}
    line |= {name: value for name, value in values.items() if value is not None}
    if memory.metadata:
        line["metadata"] = dict(memory.metadata)
    if memory.history:
        line["history"] = [event(_fields(one)) for one in memory.history]
    if memory.vector is not None and memory.embedder is not None:
        line["vector"] = packed(memory.vector)
    return line


def of_conversation(conversation: ImportedConversation) -> Line:
    line: dict[str, Any] = {"type": "conversation", **conversation.scope}
    for name in ("id", "title", "timestamp"):
        if (value := getattr(conversation, name)) is not None:
            line[name] = value
    messages = [one._asdict().items() for one in conversation.messages]
    line["messages"] = [{name: v for name, v in one if v is not None} for one in messages]
    return line


def _fields(one: ImportedEvent) -> Mapping[str, Any]:
    return {name: getattr(one, name) for name in ImportedEvent.__dataclass_fields__}


class Digest:
    """Counts and hashes lines, for the last line."""

    def __init__(self) -> None:
        self._counts = {"memories": 0, "deleted": 0, "events": 0}
        self._sha256 = hashlib.sha256()

    def add(self, line: Line) -> bytes:
        """`line` as it is written."""
        if line["type"] != "header":
            self._counts["memories" if line["type"] == "memory" else "deleted"] += 1
        self._counts["events"] += len(line.get("history", ()))
        raw = dumped(line)
        self._sha256.update(raw)
        return raw

    def end(self) -> bytes:
        return dumped({"type": "end", **self._counts, "sha256": self._sha256.hexdigest()})


def is_own(beginning: bytes) -> bool:
    """Whether `beginning` is of a file in the service's own format: the first line is an object
    with a type or a memory."""
    first = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    try:
        line = json.loads(first)
    except ValueError:
        # The line may be longer than `beginning`.
        return first.startswith((b'{"type":"', b'{"type": "', b'{"memory":', b'{"memory": "'))
    return isinstance(line, dict) and not {"type", "memory"}.isdisjoint(line)


def joined(lines: Iterable[bytes], size: int) -> Iterator[bytes]:
    """`lines` joined into pieces of about `size` bytes, because sending each piece has a cost."""
    held: list[bytes] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def digest_of(end: bytes) -> str:
    """The hash in a last line; "" where it has none."""
    try:
        found = json.loads(end)["sha256"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
