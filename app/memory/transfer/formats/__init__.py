"""The formats that can be imported: one module for each, and its line in FORMATS."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from app.memory.transfer.formats import chatgpt, claude, mem0, openmemory
from app.memory.transfer.formats.recognition import begins_as
from app.memory.transfer.records import NotThisFormat, Reader

LOOKED_AT = 4096  # bytes from the beginning of a source, by which its format is told


class Format(NamedTuple):
    is_told_by: Callable[[bytes], bool]
    """Whether a source that begins with these bytes is of this format."""
    read: Reader


FORMATS: dict[str, Format] = {
    "chatgpt": Format(partial(begins_as, "chatgpt"), chatgpt.read),
    "claude": Format(partial(begins_as, "claude"), claude.read),
    "openmemory": Format(lambda beginning: False, openmemory.read),  # a zip tells it at its end
    "mem0": Format(partial(begins_as, "mem0"), mem0.read),
}
"""By the names that `format` may have; the first that is told by the beginning is taken."""


def chosen(name: str | None, beginning: bytes) -> Reader:
    """The reader of the format `name`, or else of the one that `beginning`, LOOKED_AT bytes or the
    whole source, is told by. Raises NotThisFormat."""
    if name is not None:
        if name not in FORMATS:
            raise NotThisFormat(f"There is no such format; known are {', '.join(FORMATS)}.")
        return FORMATS[name].read
    for one in FORMATS.values():
        if one.is_told_by(beginning):
            return one.read
    raise NotThisFormat(
        f"The format cannot be told by the beginning: name one of {', '.join(FORMATS)}."
    )
