"""Finds the files in a folder that contain certain bytes."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.storage.holes import written

PIECE = 2**20


def files_with(folder: Path, forms: Sequence[bytes]) -> list[str]:
    """The sorted paths, relative to `folder`, of the files that contain one of `forms`.

    Compressed data is not found.
    """
    if not forms:
        return []
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [str(path.relative_to(folder)) for path in files if _has(path, forms)]


def _has(path: Path, forms: Sequence[bytes]) -> bool:
    with suppress(FileNotFoundError, PermissionError), path.open("rb") as file:
        return any(form in piece for piece in _pieces(file, max(map(len, forms))) for form in forms)
    return False


def _pieces(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """The data of a file in pieces. Each begins with the last `longest` bytes of the piece before,
    so that no match is cut in two."""
    for begin, end in written(file.fileno()):
        file.seek(begin)
        kept = b""
        while block := file.read(min(PIECE, end - file.tell())):
            yield kept + block
            kept = (kept + block)[-longest:]
