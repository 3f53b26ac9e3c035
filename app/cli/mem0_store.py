"""Reads the memories that mem0 itself stored, from a Qdrant server or from its local folder."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from app.errors import StartupError
from app.memory.transfer.formats import qdrant_local, qdrant_server
from app.memory.transfer.records import Item

ADDRESSES = ("http://", "https://")


def is_one(source: str) -> bool:
    return source.startswith(ADDRESSES) or Path(source).is_dir()


def read(asked: argparse.Namespace) -> Iterator[Item]:
    """The memories in the source `asked.file`. Raises NotThisFormat, OSError, and StartupError for
    a folder that is not mem0's."""
    if asked.file.startswith(ADDRESSES):
        key = asked.qdrant_key_file and asked.qdrant_key_file.read_text().strip()
        return qdrant_server.read(asked.file, asked.collection, asked.history, key)
    folder = Path(asked.file)
    if not qdrant_local.is_folder_of_qdrant(folder):
        raise StartupError(
            f"{folder} is a folder, and not one in which mem0 keeps a collection. An export is "
            "loaded as the zip that it came in, or file by file."
        )
    return qdrant_local.read(folder, asked.collection, asked.history)
