"""mem0's lists and exports."""

import json
from typing import Any

import pytest

from app.memory.transfer.records import ImportedMemory, Refused
from tests.unit.formats.samples import memories, owned, read, reason, refused, sample


def listed(**fields: Any) -> bytes:
    return json.dumps([{"memory": "Likes tea", "user_id": "alice", **fields}]).encode()


def one(**fields: Any) -> ImportedMemory:
    (memory,) = memories(read("mem0", listed(**fields)))
    return memory


def why(**fields: Any) -> str:
    ((line, reason),) = refused(read("mem0", listed(**fields)))
    assert line == 1
    return reason


def test_a_list_of_the_platform_keeps_ids_times_dates_and_what_is_known_of_each() -> None:
    first, second, third = read("mem0", sample("mem0-v1-list.json"))
    assert first == ImportedMemory(
        line=1,
        id="0a2f9c1e-5b7d-4c36-9e0a-1f2d3c4b5a60",
        memory="Prefers vegetarian food",
        scope={"user_id": "alice"},
        metadata={
            "kind": "food",
            "categories": ["food", "health"],
            "immutable": True,
            "source_created_at": "on the phone",
            "a_b": 1,
        },
        created_at="2024-07-20T08:30:36.275141+00:00",
        updated_at="2024-07-21T01:30:36.000000+00:00",
        expiration_date="2030-12-31",
    )
    assert second == ImportedMemory(
        line=2,
        id="mem_123",
        memory="Speaks French",
        scope={"agent_id": "tutor"},
        created_at="2024-07-20T08:30:36.000000+00:00",
        updated_at="2024-07-20T08:30:36.275000+00:00",
    )
    assert isinstance(third, ImportedMemory)
    assert third.scope == {}


def test_pages_that_were_appended_to_one_file_are_all_read() -> None:
    items = read("mem0", sample("mem0-v3-pages.json"))
    assert not refused(items)
    assert [(one.memory, one.scope) for one in memories(items)] == [
        ("Moved to Lisbon", {"user_id": "alice", "app_id": "travel"}),
        ("Has a cat called Miso 🐈", {"user_id": "alice"}),
        ("Works at night", {"user_id": "bob"}),
    ]
    assert memories(items)[1].metadata == {"source_tag": "chat", "categories": ["pets"]}


def test_pages_in_one_list_are_all_read() -> None:
    page = json.loads(sample("mem0-server.json"))
    items = read("mem0", json.dumps([page, page]).encode())
    assert [one.memory for one in memories(items)] == ["Likes jazz", "Likes jazz"]


def test_a_list_whose_next_page_is_missing_says_so() -> None:
    pages = sample("mem0-v3-pages.json")
    first_page = pages[: pages.index(b"}\n{") + 2]
    items = read("mem0", first_page)
    assert len(memories(items)) == 2
    assert "the next one does not follow" in refused(items)[0].reason


def test_a_list_of_the_open_source_server_keeps_who_said_it() -> None:
    (memory,) = read("mem0", sample("mem0-server.json"))
    assert isinstance(memory, ImportedMemory)
    assert (memory.role, memory.actor_id, memory.attributed_to) == ("user", "Al", "user")
    assert memory.scope == {"user_id": "alice", "run_id": "r1"}
    assert memory.metadata == {"kind": "music"}


def test_a_single_memory_and_json_lines_are_read_too() -> None:
    line = json.dumps({"id": "1", "memory": "Likes tea", "user_id": "a"}).encode() + b"\n"
    assert [one.line for one in memories(read("mem0", line * 3))] == [1, 2, 3]


def test_each_field_of_an_export_is_a_memory() -> None:
    items = read("mem0", sample("mem0-export.json"))
    assert [one.memory for one in memories(items)] == [
        "full name: John Doe",
        "current role: Senior Software Engineer",
        "years experience: 8",
        "skills: Python, AWS",
        "address city: Lisbon",
        "address remote: yes",
    ]
    assert memories(items)[3].metadata == {"source": "mem0 export", "field": "skills"}


def test_an_export_with_a_list_of_memories_keeps_their_other_fields() -> None:
    first, second = memories(read("mem0", sample("mem0-export-list.json")))
    assert (first.memory, first.created_at) == (
        "Runs every morning",
        "2024-03-01T07:00:00.000000+00:00",
    )
    assert first.metadata == {"categories": ["sport"], "mood": "happy"}
    assert second.memory == "Is learning Go"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-07-20T01:30:36Z", "2024-07-20T01:30:36.000000+00:00"),
        ("2024-07-20 01:30:36.5", "2024-07-20T01:30:36.500000+00:00"),
        ("2024-07-20 01:30:36 UTC", "2024-07-20T01:30:36.000000+00:00"),
        ("2024-07-20T01:30:36.123456789+02:00", "2024-07-19T23:30:36.123456+00:00"),
        (1721439036, "2024-07-20T01:30:36.000000+00:00"),
        (1721439036500, "2024-07-20T01:30:36.500000+00:00"),
        ("1721439036500000", "2024-07-20T01:30:36.500000+00:00"),
        (1721439036500000000, "2024-07-20T01:30:36.500000+00:00"),
        ("Sat, 20 Jul 2024 01:30:36 GMT", "2024-07-20T01:30:36.000000+00:00"),
        ("2024", "2024-01-01T00:00:00.000000+00:00"),
        (2024, "2024-01-01T00:00:00.000000+00:00"),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_read_however_it_is_written(written: Any, meant: str | None) -> None:
    assert one(created_at=written).created_at == meant


@pytest.mark.parametrize("written", ["yesterday", True, [], {"$date": 1}, "9" * 400, "-1e999"])
def test_a_time_that_is_none_is_named(written: Any) -> None:
    assert why(created_at=written) == "created_at is not a time"


def test_a_date_may_be_written_as_a_time() -> None:
    assert one(expiration_date="2030-01-01T23:59:59-05:00").expiration_date == "2030-01-02"
    assert why(expiration_date="soon") == "expiration_date is not a date"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"memory": None}, "it has no text under memory"),
        ({"memory": 5}, "memory is not a text"),
        ({"metadata": "x"}, "metadata is not an object"),
        ({"user_id": ["a"]}, "user_id is neither a text nor a number"),
        ({"id": {}}, "id is neither a text nor a number"),
        ({"role": 1}, "role is not a text"),
    ],
)
def test_what_a_memory_may_not_have_is_named(fields: dict[str, Any], said: str) -> None:
    assert why(**fields) == said


def test_metadata_under_names_that_this_service_keeps_get_other_names() -> None:
    given = {"data": 1, "source_data": 2, "AND": 3, "a.b": {"c.d": 4}, "a_b": 5, "": 6}
    assert one(metadata=given).metadata == {
        "source_data_": 1,
        "source_data": 2,
        "source_AND": 3,
        "a_b_": {"c_d": 4},
        "a_b": 5,
        "_": 6,
    }


def test_one_that_cannot_be_read_hides_no_other() -> None:
    source = b'["text", {"memory": "Likes tea"}, null, {"memory": 1}, [], {"memory": "Has a dog"}]'
    items = read("mem0", source)
    assert [one.memory for one in memories(items)] == ["Likes tea", "Has a dog"]
    assert [one.line for one in refused(items)] == [1, 3, 4, 5]


def test_what_is_no_json_is_not_this_format() -> None:
    assert "it is not JSON" in reason("mem0", b"memory;user\nLikes tea;alice\n")
    assert "it is not in UTF-8" in reason("mem0", '[{"memory": "Müsli"}]'.encode("latin-1"))
    assert "zip" in reason("mem0", b"PK\x03\x04")


def test_what_was_cut_off_says_where() -> None:
    items = read("mem0", b'[{"memory": "Likes tea"}, {"memory": "Has a')
    assert [one.memory for one in memories(items)] == ["Likes tea"]
    assert refused(items)[0].line == 2
    assert "what follows cannot be read" in refused(items)[0].reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_another_encoding_of_unicode_is_read(encoding: str) -> None:
    source = '[\r\n{"memory": "Likes Müsli 🥣"}\r\n]\r\n'.encode(encoding)
    assert [one.memory for one in memories(read("mem0", source))] == ["Likes Müsli 🥣"]


def test_who_does_not_say_of_which_user_it_is_gets_the_one_that_is_given() -> None:
    items = read("mem0", sample("mem0-v1-list.json"))
    scopes = [one.scope for one in memories(owned("mem0", items, "carol"))]
    assert scopes == [
        {"user_id": "alice"},
        {"user_id": "carol", "agent_id": "tutor"},
        {"user_id": "carol"},
    ]
    assert owned("mem0", items, None)[2] == Refused(
        3, "it does not say whose it is: give a user_id"
    )


def test_an_id_that_is_no_uuid_becomes_the_same_one_each_time_and_another_for_each_user() -> None:
    def made(user_id: str) -> str | None:
        (memory,) = memories(owned("mem0", read("mem0", listed(user_id=user_id, id=7)), None))
        return memory.id

    assert made("alice") == made("alice") == "68fb12cf-863c-5783-a015-656ec857d9ba"
    assert made("alice") != made("bob")
