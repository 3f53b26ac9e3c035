"""The files of an export: those in a zip, or the given file itself."""

import re
import struct
import zipfile
from collections.abc import Iterator
from typing import IO, BinaryIO

from app.memory.transfer.records import NotThisFormat

# Exceptions of zipfile for a wrong table or header, and for archives with a password.
DAMAGED = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError),
    struct.error,
)

ZIP = b"PK\x03\x04"

MAX_UNPACKED = 1024 * 1024 * 1024
MAX_RATIO = 100
"""Protection against zip bombs. A file in a zip is refused if it is larger than MAX_UNPACKED bytes
and its size is more than MAX_RATIO times its packed size. JSON of conversations has ratios from 3
to 30; deflate's highest is 1032."""


def files(
    stream: BinaryIO, wanted: re.Pattern[str], most: int = MAX_UNPACKED
) -> Iterator[BinaryIO]:
    """The files in the zip `stream` whose whole path matches `wanted`, sorted by name; or `stream`
    itself where it is no zip. Raises NotThisFormat, also for a zip bomb, see MAX_RATIO; `most`
    stands for MAX_UNPACKED."""
    if is_zip(stream):
        yield from _unzipped(stream, wanted, most)
    else:
        yield stream


def is_zip(stream: BinaryIO) -> bool:
    """Whether `stream` is a zip and can seek, which reading a zip needs. Leaves the stream at its
    beginning."""
    if not stream.seekable():
        return False
    stream.seek(0)
    first = stream.read(len(ZIP))
    stream.seek(0)
    return first == ZIP


def names(stream: BinaryIO) -> list[str]:
    """The paths in the zip `stream`."""
    with _opened(stream) as archive:
        return archive.namelist()


def _unzipped(stream: BinaryIO, wanted: re.Pattern[str], most: int) -> Iterator[BinaryIO]:
    with _opened(stream) as archive:
        found = [one for one in archive.infolist() if wanted.fullmatch(one.filename)]
        if not found:
            raise NotThisFormat("The zip has none of the files that such an export has.")
        for one in sorted(found, key=lambda one: one.filename):
            if one.file_size > most and one.file_size > MAX_RATIO * one.compress_size:
                raise NotThisFormat("A file in the zip is far too large for what it was packed to.")
            with _unpacked(archive, one) as unpacked:
                yield unpacked  # type: ignore[misc]  # typeshed calls it IO[bytes]


def _opened(stream: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except DAMAGED:
        raise NotThisFormat("The zip is damaged.") from None


def _unpacked(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> IO[bytes]:
    try:
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError
        return archive.open(one)
    except DAMAGED:
        raise NotThisFormat(
            "A file in the zip cannot be unpacked: it is damaged, or has a password."
        ) from None
