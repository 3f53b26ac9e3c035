"""The samples in tests/data/imports, packed as their sources pack them."""

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from app.memory.transfer.formats import FORMATS
from app.memory.transfer.formats.finishing import finished
from app.memory.transfer.records import (
    ImportedConversation,
    ImportedMemory,
    Item,
    NotThisFormat,
    Refused,
)
from tests.service import ROOT

FOLDER = ROOT / "tests" / "data" / "imports"


def sample(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def zipped(files: Mapping[str, bytes]) -> BinaryIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    packed.seek(0)
    return packed


def openmemory_zip() -> BinaryIO:
    lines = gzip.compress(sample("openmemory-memories.jsonl"))
    tables = sample("openmemory-memories.json")
    return zipped({"memories.json": tables, "memories.jsonl.gz": lines})


def chatgpt_zip() -> BinaryIO:
    return zipped(
        {
            "chat.html": b"<html></html>",
            "conversations-000.json": sample("chatgpt-conversations.json"),
            "memories.json": sample("chatgpt-memories.json"),
            "user.json": b'{"email": "nobody@example.com"}',
            "__MACOSX/conversations.json": b"\x00",
        }
    )


def claude_zip() -> BinaryIO:
    return zipped(
        {
            "conversations.json": sample("claude-conversations.json"),
            "memories/aaaaaaaa-0000-4000-8000-000000000001.json": sample("claude-memories.json"),
            "users.json": b"[]",
        }
    )


def read(name: str, source: bytes | BinaryIO) -> list[Item]:
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    return list(FORMATS[name](stream))


def owned(name: str, items: list[Item], user_id: str | None = "me") -> list[Item]:
    """`items` as an import takes them, of this user where they do not say whose they are."""
    return list(finished(name, items, {"user_id": user_id} if user_id else {}))


def memories(items: list[Item]) -> list[ImportedMemory]:
    return [item for item in items if isinstance(item, ImportedMemory)]


def conversations(items: list[Item]) -> list[ImportedConversation]:
    return [item for item in items if isinstance(item, ImportedConversation)]


def refused(items: list[Item]) -> list[Refused]:
    return [item for item in items if isinstance(item, Refused)]


def reason(name: str, source: bytes | BinaryIO) -> str:
    """Why nothing of it can be read."""
    try:
        read(name, source)
    except NotThisFormat as error:
        return str(error)
    raise AssertionError("it was read")


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
