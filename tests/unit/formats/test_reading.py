"""What all readers stand on: JSON that is read piece by piece, zips, and telling formats apart."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest

from app.memory.transfer.formats import archive, chatgpt, openmemory, recognition
from app.memory.transfer.formats.json_items import Broken, items
from app.memory.transfer.records import NotThisFormat
from tests.unit.formats.samples import (
    chatgpt_zip,
    claude_zip,
    openmemory_zip,
    read,
    reason,
    refused,
    sample,
    zipped,
)

MB = 1024 * 1024


def found(source: bytes, *lists: str) -> list[tuple[str | None, Any]]:
    return [tuple(one) for one in items(io.BytesIO(source), lists)]


class Endless(io.RawIOBase):
    """`before`, and then `again` as often as it is read, up to `limit` bytes."""

    def __init__(self, before: bytes, again: bytes, limit: int) -> None:
        self.sent = 0
        self._limit = limit
        self._pieces = self._made(before, again)

    def _made(self, before: bytes, again: bytes) -> Iterator[bytes]:
        yield before
        while True:
            yield again

    def read(self, size: int = -1) -> bytes:
        if self.sent > self._limit:
            return b""
        piece = next(self._pieces)
        self.sent += len(piece)
        return piece

    def seekable(self) -> bool:
        return False


def test_lists_are_read_one_after_another_with_what_stands_beside_them() -> None:
    source = b'{"n": 1, "results": [1, [2]], "x": {"results": [3]}} [4, "5"] {} 6 [] null'
    assert found(source, "results") == [
        ("results", 1),
        ("results", [2]),
        ("", {"n": 1, "x": {"results": [3]}}),
        (None, 4),
        (None, "5"),
        ("", {}),
        (None, 6),
        (None, None),
    ]


def test_a_key_of_a_list_that_holds_none_is_a_field() -> None:
    assert found(b'{"results": {"a": 1}}', "results") == [("", {"results": {"a": 1}})]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_where_it_is_cut_into_pieces_makes_no_difference(size: int) -> None:
    given = [{"text": 'quoted " \\ é \u2028 🐈', "n": -12.5e3}, [True, None], 1234567]
    source = json.dumps(given).encode() + json.dumps(given, ensure_ascii=False).encode()

    class Pieces(io.BytesIO):
        def read(self, wanted: int | None = -1) -> bytes:
            return super().read(size)

    assert [one.value for one in items(Pieces(source), chunk=size)] == given * 2


@pytest.mark.parametrize(
    "source",
    [
        *(b"nonsense", b"[1, 2", b"[1 2]", b"[1,]", b'{"a" 1}', b'{"a": 1,}', b"{1: 2}", b"]"),
        *(b'["a', b'["\\u12"]', b"[tru]", b'{"a"', b'{"a":', b"[\xff]", b"[-]"),
    ],
)
def test_what_is_no_json_is_told(source: bytes) -> None:
    with pytest.raises(Broken):
        found(source)


def test_what_nests_without_an_end_is_told() -> None:
    for nested in (b"[" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(Broken):
            found(nested)


def test_a_number_of_any_length_is_read() -> None:
    assert found(b"[" + b"9" * 10_000 + b"]") == [(None, float("inf"))]


def test_a_long_list_is_not_held() -> None:
    item = json.dumps({"memory": "x" * 1000, "user_id": "a"}).encode()
    stream = Endless(b"[" + item, (b"," + item) * 60, 30 * MB)
    tracemalloc.start()
    try:
        with pytest.raises(Broken):
            for _ in items(stream):  # type: ignore[arg-type]  # it can be read, no more
                pass
        assert tracemalloc.get_traced_memory()[1] < MB
    finally:
        tracemalloc.stop()


def test_an_item_without_an_end_is_given_up() -> None:
    for before in (b'["', b'[{"a": "', b'{"a": "'):
        stream = Endless(before, b"x" * 65536, 50 * MB)
        with pytest.raises(Broken, match="1048576 characters"):
            list(items(stream, most=MB))  # type: ignore[arg-type]
        assert stream.sent < 5 * MB
    fields = Endless(b"{", b'"k": "' + b"x" * 65536 + b'",', 50 * MB)
    with pytest.raises(Broken, match="too large"):
        list(items(fields, most=MB))  # type: ignore[arg-type]
    assert fields.sent < 5 * MB


def test_a_zip_that_unpacks_to_far_more_than_it_can_be_is_not_unpacked() -> None:
    bomb = zipped({"conversations.json": b"[" + b" " * (2 * MB)})
    with pytest.raises(NotThisFormat, match="far too large"):
        list(archive.files(bomb, chatgpt.FILES, most=MB))


def test_a_zip_that_cannot_be_unpacked_says_so() -> None:
    whole = zipped({"conversations.json": sample("chatgpt-conversations.json")}).read()
    assert "damaged" in reason("chatgpt", whole[:-10])
    locked = bytearray(whole)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    assert "password" in reason("chatgpt", bytes(locked))
    unreadable_name = bytearray(whole)
    unreadable_name[7] |= 8  # it says that the name is in UTF-8,
    unreadable_name[30] = 0xFF  # which it is not
    assert "cannot be unpacked" in reason("chatgpt", bytes(unreadable_name))
    packed_anew = bytearray(whole)
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        packed_anew[packed_anew.index(signature) + method] = 99
    assert "cannot be unpacked" in reason("chatgpt", bytes(packed_anew))


def test_a_zip_that_is_damaged_inside_says_what_is_left_out() -> None:
    many = json.dumps([json.loads(sample("chatgpt-conversations.json"))[0]] * 2000).encode()
    packed = zipped({"conversations.json": many})
    content = bytearray(packed.read())
    content[len(content) // 2] ^= 0xFF
    items = read("chatgpt", bytes(content))
    assert len(items) > 100
    assert "what follows cannot be read" in refused(items)[-1].reason


def test_a_file_in_a_zip_that_is_no_zip_with_that_name_is_passed_over() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("folder/conversations.json", sample("claude-conversations.json"))
        made.writestr("folder/conversations.json.bak", b"nonsense")
        made.writestr("myconversations.json", b"nonsense")
    assert len(read("claude", packed)) == 3


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (chatgpt_zip, "chatgpt"),
        (claude_zip, "claude"),
        (openmemory_zip, "openmemory"),
        (lambda: io.BytesIO(sample("chatgpt-conversations.json")), "chatgpt"),
        (lambda: io.BytesIO(sample("claude-conversations.json")), "claude"),
        (lambda: io.BytesIO(sample("claude-memories.json")), "claude"),
        (lambda: io.BytesIO(sample("mem0-v1-list.json")), "mem0"),
        (lambda: io.BytesIO(sample("mem0-v3-pages.json").decode().encode("utf-16")), "mem0"),
        (lambda: zipped({"memories.json": sample("claude-memories.json")}), "claude"),
        (lambda: zipped({"readme.txt": b"hello"}), None),
        (lambda: io.BytesIO(b"PK\x03\x04 no zip"), None),
        (lambda: io.BytesIO(b'{"type": "header", "format": "memory-service"}\n'), "lines"),
        (lambda: io.BytesIO(b'{"memory": "Likes tea", "user_id": "alice"}\n'), "lines"),
        (lambda: io.BytesIO(b'{"memory": "Likes tea", "categories": []}\n'), "mem0"),
        (lambda: io.BytesIO(b"name;text\n"), None),
        (lambda: io.BytesIO(b""), None),
    ],
)
def test_a_format_is_told_by_what_the_file_says(source: Any, name: str | None) -> None:
    stream: BinaryIO = source()
    assert recognition.recognised(stream) == name
    assert stream.tell() == 0


def test_a_zip_must_be_a_file() -> None:
    stream = Endless(b"PK\x03\x04", b"x", 10)
    with pytest.raises(NotThisFormat):
        list(chatgpt.read(stream))  # type: ignore[arg-type]
    with pytest.raises(NotThisFormat):
        list(openmemory.read(stream))  # type: ignore[arg-type]
