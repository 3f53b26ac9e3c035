"""Records of other formats as lines of this service's own, which an import takes."""

import io
import json
from collections.abc import Callable, Iterable, Iterator

from app.memory.transfer import lines
from app.memory.transfer.formats import FORMATS
from app.memory.transfer.formats.finishing import finished
from app.memory.transfer.lines import MAX_LINE
from app.memory.transfer.records import ImportedMemory, Item, Record, Refused
from app.memory.transfer.splitting import RawLine
from app.security.scopes import Scope

Line = RawLine | Refused
"""Each with the place that its source has it at."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def lines_of(read: Callable[[int], bytes], format_name: str, default: Scope) -> Iterator[Line]:
    """The lines that a body of the format `format_name` becomes. `default`: whose it is where it
    does not say. Raises NotThisFormat where nothing of it can be read."""
    stream = io.BufferedReader(_Stream(read))
    return as_lines(finished(format_name, FORMATS[format_name].read(stream), default))


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

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any buffer
        data = self._read(len(into))
        into[: len(data)] = data
        return len(data)
