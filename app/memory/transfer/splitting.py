"""Splits a stream of bytes into lines, without holding a line that is too long."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from app.memory.transfer.lines import MAX_LINE

READ_BYTES = 64 * 1024


Read = Callable[[int], bytes]
"""Reads at most so many bytes of a body; none at its end."""


class RawLine(NamedTuple):
    number: int
    """Counted from 1."""
    text: bytes | None
    """The line with its line break; None where it is longer than MAX_LINE."""


def split(read: Read, max_line: int = MAX_LINE) -> Iterator[RawLine]:
    """The lines of the body that `read` reads. The last one may lack its line break."""
    held: list[bytes] = []
    size, number = 0, 1
    while data := read(READ_BYTES):
        *ends, rest = data.split(b"\n")
        for end in ends:
            held.append(end)
            size += len(end)
            yield RawLine(number, b"".join(held) + b"\n" if size <= max_line else None)
            held, size, number = [], 0, number + 1
        held.append(rest)
        size += len(rest)
        if size > max_line:
            held.clear()
    if size:
        yield RawLine(number, b"".join(held) if size <= max_line else None)
