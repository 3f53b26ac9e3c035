"""Streams as lines, whatever their pieces; and what begins as lines of the service's own."""

from io import BytesIO

import pytest

from app.memory.transfer.lines import is_own
from app.memory.transfer.splitting import RawLine, split

READ = 64 * 1024


@pytest.mark.parametrize("step", [1, 2, 3, 7, READ])
def test_lines_are_the_same_whatever_comes_at_once(step: int) -> None:
    stream = BytesIO(b"one\n\nthree\r\n" + b"x" * 20 + b"\nfive")
    found = [*split(lambda size: stream.read(min(size, step)), max_line=19)]
    assert found == [
        RawLine(1, b"one\n"),
        RawLine(2, b"\n"),
        RawLine(3, b"three\r\n"),
        RawLine(4, None),
        RawLine(5, b"five"),
    ]


def test_a_last_line_that_is_too_long_is_told_too() -> None:
    assert [*split(BytesIO(b"a\n" + b"x" * 20).read, max_line=19)] == [
        RawLine(1, b"a\n"),
        RawLine(2, None),
    ]


@pytest.mark.parametrize(
    ("beginning", "own"),
    [
        (b'{"type":"header","format":"memory-service"}\n{', True),
        (b'\xef\xbb\xbf{"memory": "tea", "user_id": "a"}\n', True),
        (b'{"type":"memory","id":"' + b"x" * 4000, True),
        (b'[{"memory": "tea"}]', False),
        (b'{\n  "results": [{"memory": "tea"}]}', False),
        (b'{"results": [{"memory": "tea"}]}', False),
        (b"PK\x03\x04", False),
        (b"", False),
    ],
)
def test_own_lines_are_told_by_the_first(beginning: bytes, own: bool) -> None:
    assert is_own(beginning) is own
