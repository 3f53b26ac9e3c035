"""OpenMemory's zip."""

import gzip

from app.memory.transfer.records import ImportedMemory
from tests.unit.formats.samples import (
    memories,
    openmemory_zip,
    read,
    reason,
    refused,
    sample,
    zipped,
)


def packed(lines: bytes) -> bytes:
    return zipped({"export/memories.jsonl.gz": gzip.compress(lines)}).read()


def test_memories_are_their_users_with_app_categories_and_state_beside_them() -> None:
    first, second, deleted = read("openmemory", openmemory_zip())
    assert first == ImportedMemory(
        line=1,
        id="3d2f9c1e-5b7d-4c36-9e0a-1f2d3c4b5a60",
        memory="Uses tabs",
        scope={"user_id": "deshraj"},
        metadata={"app": "cursor", "categories": ["preferences"], "source_app": "openmemory"},
        created_at="2025-05-02T08:00:00.000000+00:00",
        updated_at="2025-05-02T09:00:00.000000+00:00",
    )
    assert isinstance(second, ImportedMemory)
    assert (second.memory, second.metadata, second.created_at) == (
        "Knew COBOL",
        {"state": "paused"},
        None,
    )
    assert deleted == (3, "it is deleted in OpenMemory")


def test_without_its_tables_nobody_is_named() -> None:
    lines = sample("openmemory-memories.jsonl")
    assert [one.scope for one in memories(read("openmemory", packed(lines)))] == [{}, {}]


def test_a_line_that_cannot_be_read_hides_no_other() -> None:
    lines = (
        b'{"content": "A"}\r\n\r\nnonsense\r\n\xff\n[]\n' + b"[" * 100_000 + b'\n{"content": "B"}'
    )
    items = read("openmemory", packed(lines))
    assert [one.memory for one in memories(items)] == ["A", "B"]
    assert [one.line for one in refused(items)] == [3, 4, 5, 6]


def test_a_damaged_archive_says_so() -> None:
    cut = zipped({"memories.jsonl.gz": gzip.compress(b'{"content": "A"}\n' * 1000)[:-20]}).read()
    assert "the archive is damaged" in refused(read("openmemory", cut))[-1].reason
    whole = openmemory_zip().read()
    assert "damaged" in reason("openmemory", whole[:-30])
    assert "no zip" in reason("openmemory", b"{}")


def test_a_line_that_is_unpacked_without_an_end_is_not_held() -> None:
    endless = gzip.compress(b" " * 20_000_000)
    assert "more than 4194304 bytes" in reason(
        "openmemory", zipped({"memories.jsonl.gz": endless}).read()
    )
