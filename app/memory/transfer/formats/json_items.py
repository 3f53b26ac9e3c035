"""Reads the items of lists in JSON one by one, so that the JSON may be larger than the memory.

It reads a list, an object with a list in it (a page of an API), and several of these one after
another (pages appended to one file, JSON Lines). The encoding is UTF-8, UTF-16 or UTF-32, with or
without a byte order mark; RFC 4627, section 3, tells them apart.
"""

import codecs
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

CHUNK = 64 * 1024
MAX_VALUE = 64 * 1024 * 1024
"""Characters of one item. A long conversation of ChatGPT, with the results of tools, has a few
million."""

REST = ""
"""The key under which the other fields of an object are returned."""

_SPACE = re.compile(r"[ \t\r\n]*")
_CUT = 16  # the decoder reports a cut literal or escape at most so far before the end
DAMAGED = (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError)


class Broken(Exception):
    """The rest of the JSON cannot be read; the text says why."""


class Found(NamedTuple):
    key: str | None
    """The key of the list that the item is in; REST; None for an item of a bare list."""
    value: Any


def items(
    stream: BinaryIO, lists: Collection[str] = (), *, chunk: int = CHUNK, most: int = MAX_VALUE
) -> Iterator[Found]:
    """The items of bare lists, and of the lists under the keys `lists` of objects.

    The other fields of an object follow as one item under the key REST. Reads at least `chunk`
    bytes at a time. Raises Broken, also for an item of more than `most` characters.
    """
    window = _Window(stream, chunk, most)
    while first := window.peek():
        if first == "[":
            for value in window.array():
                yield Found(None, value)
        elif first == "{":
            yield from _object(window, lists)
        else:
            yield Found(None, window.value())


def _object(window: "_Window", lists: Collection[str]) -> Iterator[Found]:
    rest: dict[str, Any] = {}
    size = 0
    for key in window.keys_of_object():
        if key in lists and window.peek() == "[":
            for value in window.array():
                yield Found(key, value)
            continue
        before = window.taken
        rest[key] = window.value()
        size += window.taken - before
        if size > window.most:
            raise Broken("it is too large to be read")
    yield Found(REST, rest)


class _Window:
    """A window on a long text: the part that is being decoded."""

    def __init__(self, stream: BinaryIO, chunk: int, most: int) -> None:
        self._stream = stream
        self._chunk = chunk
        self.most = most
        self._text = ""
        self._at = 0
        self._ended = False
        self._cut_off = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def taken(self) -> int:
        """How many characters were decoded."""
        return self._cut_off + self._at

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # always
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def array(self) -> Iterator[Any]:
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self.value()
            if self._take(",]") == "]":
                return

    def keys_of_object(self) -> Iterator[str]:
        """The keys of an object. The value of each key must be read before the next key."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        while True:
            key = self.value() if self.peek() == '"' else None
            if not isinstance(key, str):
                raise Broken("it is not JSON")
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def value(self) -> Any:
        """One value, decoded."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error) or not self._more():
                    raise Broken("it is not JSON, or cut off") from None
            except RecursionError:
                raise Broken("it nests too deeply") from None
            else:
                # A number at the end of the window may continue after it.
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        if len(self._text) - self._at > self.most:
            raise Broken(f"an item of it has more than {self.most} characters")
        return "Unterminated string" in error.msg or error.pos >= len(self._text) - _CUT

    def _take(self, one_of: str) -> str:
        found = self.peek()
        if not found or found not in one_of:
            raise Broken("it is not JSON, or cut off")
        self._at += 1
        return found

    def _more(self) -> bool:
        """Read on; returns whether there was more. It doubles the undecoded part, so that a long
        value is not decoded again for each chunk of it."""
        if self._ended:
            return False
        pending = len(self._text) - self._at
        try:
            text = self._read(max(self._chunk, pending))
        except UnicodeDecodeError:
            raise Broken("it is not in UTF-8") from None
        except DAMAGED:
            raise Broken("the archive is damaged") from None
        self._cut_off += self._at
        self._text = self._text[self._at :] + text
        self._at = 0
        return True

    def _read(self, size: int) -> str:
        """`size` bytes as text, or the rest of the stream. A socket may return fewer at once."""
        pieces = []
        while size > 0 and not self._ended:
            chunk = self._stream.read(size)
            if self._decoder is None:
                encoding = json.detect_encoding(chunk)
                self._decoder = codecs.getincrementaldecoder(encoding)("strict")
            pieces.append(self._decoder.decode(chunk, final=not chunk))
            size -= len(chunk)
            self._ended = not chunk
        return "".join(pieces)


def _integer(digits: str) -> int | float:
    # Python refuses integers of very many digits; no id or time has so many.
    return int(digits) if len(digits) < 30 else float(digits)


_DECODER = json.JSONDecoder(parse_int=_integer, strict=False)  # texts may have raw line breaks
