"""Code that all readers share: it counts items, and goes on after one that cannot be read."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import BinaryIO, TypeVar

from app.memory.transfer.formats import archive, json_items
from app.memory.transfer.formats.json_items import Broken, Found
from app.memory.transfer.formats.values import Unreadable
from app.memory.transfer.records import Item, NotThisFormat, Refused

T = TypeVar("T")


def each(found: Iterable[T], read: Callable[[int, T], Iterable[Item]]) -> Iterator[Item]:
    """The items that `read` makes of each element, given its number from 1. Raises NotThisFormat
    where not even the first element can be read."""
    line = 0
    iterator = iter(found)
    while True:
        line += 1
        try:
            one = next(iterator)
        except StopIteration:
            return
        except (Broken, NotThisFormat) as error:
            if line == 1:
                raise _nothing(error) from None
            yield Refused(line, f"it and what follows cannot be read: {error}")
            return
        yield from _read(line, one, read)


def each_in_files(
    stream: BinaryIO,
    wanted: re.Pattern[str],
    lists: Collection[str],
    read: Callable[[int, Found], Iterable[Item]],
) -> Iterator[Item]:
    """Like `each`, for the items of the lists `lists` in the files of an export that match
    `wanted`, see archive and json_items."""
    files = archive.files(stream, wanted)
    return each((one for file in files for one in json_items.items(file, lists)), read)


def _read(line: int, one: T, read: Callable[[int, T], Iterable[Item]]) -> Iterator[Item]:
    try:
        yield from read(line, one)
    except Unreadable as error:
        yield Refused(line, str(error))
    except RecursionError:
        yield Refused(line, "it nests too deeply")


def _nothing(error: Broken | NotThisFormat) -> NotThisFormat:
    if isinstance(error, NotThisFormat):
        return error
    return NotThisFormat(f"Nothing of it can be read: {error}.")
