"""The file of a backup: a ZIP archive with the points, the history, and a manifest.

`points.jsonl` has a line for each memory, `history.db` is an SQLite file, `manifest.json` comes
last. An archive that was cut off has no directory, and so is no valid ZIP file.
"""

import hashlib
import json
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError

from app.storage.vectors.points import Whole
from app.storage.vectors.ranking import Record

FORMAT = 1
POINTS, HISTORY, MANIFEST = "points.jsonl", "history.db", "manifest.json"
BLOCK = 2**20
LEVEL = 1  # of compression: vectors hardly shrink


class Damaged(Exception):
    """The backup is incomplete, or was changed; the text says where."""


class TooNew(Exception):
    """A newer version of the service made the backup."""


class Manifest(BaseModel):
    """The description of a backup."""

    format: int = FORMAT
    version: str
    """The version of the service that made it."""
    created_at: str
    """The moment of its vectors and its history."""
    store: str
    """`embedded` or `server`."""
    embedder: str | None = None
    dimensions: int = 0
    """`embedder` and `dimensions` of the stored vectors; None and 0 where there was no collection
    yet."""
    zero: float | None = None
    """See PreparedStore.zero."""
    schema_version: int
    memories: int = 0
    events: int = 0
    digests: dict[str, str] = {}
    """The SHA-256 of each member of the archive."""


class Written(NamedTuple):
    digest: str
    lines: int


class ArchiveWriter:
    """Writes the members one after the other, to a file that need not be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)

    def points(self, lines: Iterable[bytes]) -> Written:
        return self._member(POINTS, lines)

    def history(self, path: Path) -> Written:
        with path.open("rb") as file:
            return self._member(HISTORY, iter(lambda: file.read(BLOCK), b""))

    def close(self, manifest: Manifest) -> None:
        self._member(MANIFEST, [manifest.model_dump_json(indent=1).encode()])
        self._zip.close()

    def _member(self, name: str, blocks: Iterable[bytes]) -> Written:
        digest, number = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            for block in blocks:
                digest.update(block)
                member.write(block)
                number += 1
        return Written(digest.hexdigest(), number)


class Archive:
    """Reads the file of a backup. All methods may raise Damaged; opening it may raise TooNew."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` must be seekable."""
        with _undamaged():
            self._zip = zipfile.ZipFile(file)
            raw = json.loads(self._zip.read(MANIFEST))
        if raw.get("format", 0) > FORMAT:
            raise TooNew(f"it has format {raw['format']}, this version knows {FORMAT}")
        with _undamaged():
            self.manifest = Manifest.model_validate(raw)

    def close(self) -> None:
        self._zip.close()

    def points(self) -> Iterator[Whole]:
        """All points. Raises Damaged at the end, where they are not those in the manifest."""
        digest, number = hashlib.sha256(), 0
        with _undamaged(), self._zip.open(POINTS) as member:
            for line in member:
                digest.update(line)
                number += 1
                yield memory_of(line)
        self._check(POINTS, digest.hexdigest())
        if number != self.manifest.memories:
            raise Damaged(f"it has {number} memories, and says {self.manifest.memories}")

    def save_history(self, path: Path) -> None:
        digest = hashlib.sha256()
        with _undamaged(), self._zip.open(HISTORY) as member, path.open("wb") as file:
            path.chmod(0o600)
            while block := member.read(BLOCK):
                digest.update(block)
                file.write(block)
        self._check(HISTORY, digest.hexdigest())

    def _check(self, name: str, digest: str) -> None:
        if self.manifest.digests.get(name) != digest:
            raise Damaged(f"{name} is not what the manifest says")


def line_of(memory: Whole) -> bytes:
    vector = None
    if memory.vector is not None:
        vector = b64encode(np.asarray(memory.vector, "<f4").tobytes()).decode()
    record = {"id": memory.record.id, "vector": vector, "payload": memory.record.payload}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def id_of(line: bytes) -> str:
    """The id in a line that `line_of` made, read without parsing the line."""
    return line[len(b'{"id":"') :][:36].decode()


def memory_of(line: bytes) -> Whole:
    record: dict[str, Any] = json.loads(line)
    vector = record["vector"]
    dense = None if vector is None else np.frombuffer(b64decode(vector), "<f4").tolist()
    return Whole(Record(record["id"], record["payload"]), dense)


@contextmanager
def _undamaged() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError) as error:
        why = "it was cut off, or is no backup"
        if isinstance(error, zlib.error | ValidationError):
            why = "its content was changed"
        raise Damaged(why) from error
