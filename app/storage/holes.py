"""Where a file has something: most of what Edge's files seem to have are holes."""

import os
from collections.abc import Iterator


def written(file: int) -> Iterator[tuple[int, int]]:
    """From where to where, in bytes, of an open file by its number."""
    size, place = os.fstat(file).st_size, 0
    while place < size:
        try:
            begin = os.lseek(file, place, os.SEEK_DATA)
        except OSError:  # there is only a hole left
            return
        place = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, place
