"""Converts records of other formats into lines of the service's own format."""

import io
import json
from collections.abc import Iterable, Iterator

from app.errors import InvalidRequest
from app.memory.transfer import lines
from app.memory.transfer.formats import FORMATS
from app.memory.transfer.formats.finishing import finished
from app.memory.transfer.lines import MAX_LINE
from app.memory.transfer.records import ImportedMemory, Item, NotThisFormat, Record, Refused
from app.memory.transfer.splitting import RawLine, Read
from app.security.scopes import Scope

JSON_FORMATS = ("mem0", "chatgpt", "claude")
"""Formats that are a single JSON body; the others are archives and stores."""

Line = RawLine | Refused
"""A line with the number that it has in its source."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def lines_of(read: Read, format_name: str, default: Scope) -> Iterator[Line]:
    """The lines of a body in the format `format_name`. Records without ids get those of `default`.
    Raises InvalidRequest where the body is not in that format."""
    stream = io.BufferedReader(_Stream(read))
    try:
        yield from as_lines(finished(format_name, FORMATS[format_name](stream), default))
    except NotThisFormat as error:
        raise InvalidRequest(f"The body is not of the format {format_name}. {error}") from None


def as_lines(items: Iterable[Item]) -> Iterator[Line]:
    for item in items:
        yield item if isinstance(item, Refused) else _line(item)


def _line(record: Record) -> Line:
    line = (
        lines.of_memory(record)
        if isinstance(record, ImportedMemory)
        else lines.of_conversation(record)
    )
    try:
        text = _ENCODER.encode(line).encode() + b"\n"
    except UnicodeEncodeError:
        return Refused(record.line, "it holds half of a surrogate pair")
    except (ValueError, RecursionError):
        return Refused(record.line, "it holds a number that JSON cannot have, or nests too deeply")
    return RawLine(record.line, text if len(text) <= MAX_LINE else None)


class _Stream(io.RawIOBase):
    """`read` as a stream that cannot seek."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any buffer
        data = self._read(len(into))
        into[: len(data)] = data
        return len(data)
