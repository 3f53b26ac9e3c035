"""The formats that can be imported. Each has a module, and an entry in FORMATS."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from app.memory.transfer.formats import chatgpt, claude, mem0, openmemory
from app.memory.transfer.formats.recognition import begins_as
from app.memory.transfer.records import NotThisFormat, Reader

LOOKED_AT = 4096  # first bytes of a source, by which its format is recognised


class Format(NamedTuple):
    recognises: Callable[[bytes], bool]
    """Whether a source that begins with these bytes is of this format."""
    read: Reader


FORMATS: dict[str, Format] = {
    "chatgpt": Format(partial(begins_as, "chatgpt"), chatgpt.read),
    "claude": Format(partial(begins_as, "claude"), claude.read),
    # A zip has its table of files at its end, so that its beginning does not tell.
    "openmemory": Format(lambda beginning: False, openmemory.read),
    "mem0": Format(partial(begins_as, "mem0"), mem0.read),
}
"""The formats by their names. The first one that recognises a beginning is taken."""


def chosen(name: str | None, beginning: bytes) -> Reader:
    """The reader of the format `name`, or without one of the format that recognises `beginning`,
    the first LOOKED_AT bytes of the source. Raises NotThisFormat."""
    if name is not None:
        if name not in FORMATS:
            raise NotThisFormat(f"There is no such format; known are {', '.join(FORMATS)}.")
        return FORMATS[name].read
    for one in FORMATS.values():
        if one.recognises(beginning):
            return one.read
    raise NotThisFormat(
        f"The format cannot be told by the beginning: name one of {', '.join(FORMATS)}."
    )
