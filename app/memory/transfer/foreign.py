"""Records of other formats as lines of this service's own, which an import takes."""

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
"""Those that one body of JSON can have; the others are archives and stores."""

Line = RawLine | Refused
"""Each with the place that its source has it at."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def lines_of(read: Read, format_name: str, default: Scope) -> Iterator[Line]:
    """The lines that a body of the format `format_name` becomes; `default` are the ids of what has
    none. Raises InvalidRequest where it is no body of that format."""
    stream = io.BufferedReader(_Stream(read))
    try:
        yield from as_lines(finished(format_name, FORMATS[format_name].read(stream), default))
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
    """What `read` gives, as a stream that can only be read on."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any buffer
        data = self._read(len(into))
        into[: len(data)] = data
        return len(data)
