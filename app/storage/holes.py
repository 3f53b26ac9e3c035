"""Finds the data in sparse files: Edge's files consist mostly of holes."""

import os
from collections.abc import Iterator


def written(file: int) -> Iterator[tuple[int, int]]:
    """The ranges (begin, end) of bytes that were written, in the open file with this descriptor."""
    size, place = os.fstat(file).st_size, 0
    while place < size:
        try:
            begin = os.lseek(file, place, os.SEEK_DATA)
        except OSError:  # the rest is a hole
            return
        place = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, place
