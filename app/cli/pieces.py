"""Splits a file into pieces; each is sent as an import of its own."""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from app.memory.transfer import lines
from app.memory.transfer.completeness import Completeness
from app.memory.transfer.foreign import Line
from app.memory.transfer.records import Refused
from app.memory.transfer.splitting import split

LINES, BYTES = 500, 2_000_000
Refuse = Callable[[Refused], None]
"""Called for each line that cannot be read."""

TOO_LONG = f"is longer than {lines.MAX_LINE} bytes"

HEADER = b'{"type":"header"'
END = b'{"type":"end"'


class Piece(NamedTuple):
    body: bytes
    lines: list[int]
    """The number that each line of the body has in the file; 0 for the header."""
    position: int
    """Bytes of the file that are read once this piece is sent."""


class Pieces:
    """Gathers lines until there are enough for a piece."""

    def __init__(self, most: int = LINES) -> None:
        self._most = most
        self._header = b""
        self._begin()

    def begin(self, header: bytes) -> None:
        """Begin each of the next pieces with `header`."""
        self._header = header
        self._begin()

    def add(self, number: int, raw: bytes) -> bool:
        """Add a line; returns whether the piece is full."""
        self._body.append(raw if raw.endswith(b"\n") else raw + b"\n")
        self._lines.append(number)
        self._size += len(raw)
        return len(self._lines) >= self._most or self._size >= BYTES

    def take(self, position: int) -> Iterator[Piece]:
        """The gathered piece, if it has a line besides the header. The next one begins empty."""
        if any(self._lines):
            yield Piece(b"".join(self._body), self._lines, position)
        self._begin()

    def _begin(self) -> None:
        self._body = [self._header] if self._header else []
        self._lines = [0] if self._header else []
        self._size = 0


def of_lines(stream: BinaryIO, refused: Refuse, most: int = LINES) -> Iterator[Piece]:
    """The pieces of a file in the service's own format."""
    pieces = Pieces(most)
    for number, raw in split(stream.read):
        if raw is None:
            refused(Refused(number, TOO_LONG))
        elif raw.startswith(HEADER):
            yield from pieces.take(stream.tell())
            pieces.begin(raw)
        elif raw.strip() and not raw.startswith(END) and pieces.add(number, raw):
            yield from pieces.take(stream.tell())
    yield from pieces.take(stream.tell())


def of_foreign(
    found: Iterable[Line], position: Callable[[], int], refused: Refuse, most: int = LINES
) -> Iterator[Piece]:
    """The pieces of `found`, lines that were made from another format. `position()` returns how
    many bytes of the source are read."""
    pieces = Pieces(most)
    for line in found:
        if isinstance(line, Refused):
            refused(line)
        elif line.text is None:
            refused(Refused(line.number, TOO_LONG))
        elif pieces.add(line.number, line.text):
            yield from pieces.take(position())
    yield from pieces.take(position())


def is_whole(stream: BinaryIO) -> bool | None:
    """Whether `stream` is an export that is complete; None where it is no export."""
    completeness = Completeness()
    for _, raw in split(stream.read):
        if raw is not None and raw.startswith(END):
            completeness.end(lines.digest_of(raw))
            continue
        if raw is not None and raw.startswith(HEADER):
            completeness.begin()
        completeness.add(raw or b"")
    stream.seek(0)
    return completeness.verdict()
