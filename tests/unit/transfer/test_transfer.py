"""Exports and imports on a real store and a real history."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

from app.errors import Forbidden, ServiceBusy, VectorStoreTimeout
from app.memory.transfer.requests import ExportRequest, ImportRequest
from app.memory.validation import validated
from app.security.principal import ADMIN, Principal
from tests.transfer import header, memory, raw, vector, whole
from tests.unit.memory.test_operations import ALICE, Parts
from tests.unit.storage.test_journal import MoodyStore

BOB = Principal("b0b00000", {"user_id": "bob"})
READER = Principal("4ead0000", ALICE, read_only=True)


class House(Parts):
    """A service, and what goes in and out of it."""

    def take(self, body: bytes, principal: Principal = ADMIN, **options: Any) -> dict[str, Any]:
        asked = validated(ImportRequest, options, principal)
        read = BytesIO(body).read
        return self.service.service.transfer.import_lines(principal, asked, read).to_json()

    def export(self, principal: Principal = ADMIN, **fields: Any) -> Iterator[bytes]:
        asked = validated(ExportRequest, fields, principal)
        return self.service.service.transfer.export_lines(principal, asked)

    def lines(self, principal: Principal = ADMIN, **fields: Any) -> list[dict[str, Any]]:
        """Without the first and the last."""
        return [json.loads(line) for line in self.export(principal, **fields)][1:-1]

    def events(self, memory_id: str) -> list[tuple[str, str | None]]:
        rows = self.service.history(memory_id)
        return [(row["event"], row["written_by"]) for row in rows]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), "Likes tea", store=MoodyStore)
    yield made
    made.service.close()


@pytest.fixture
def house(shared: House) -> House:
    """An empty one."""
    shared.store.mood = ""
    shared.service.reset()
    shared.embedder.calls.clear()
    shared.finder.asked.clear()
    return shared


def some(number: int, user: str = "alice") -> list[dict[str, Any]]:
    return [memory(n, user, vector=vector(n, 16)) for n in range(number)]


class TestAnImport:
    def test_that_is_sent_again_changes_nothing(self, house: House) -> None:
        body = raw(header(house.embedder.info), *some(3))
        assert house.take(body)["imported"] == 3
        before = [*house.export(vectors=True)]
        again = house.take(body)
        assert (again["imported"], again["unchanged"], again["failed"]) == (0, 3, [])
        assert [*house.export(vectors=True)] == before

    def test_embeds_what_brings_no_vector_of_this_embedder_and_this_text(
        self, house: House
    ) -> None:
        fits, edited, bare, short = some(4)
        edited |= {"memory": "another text"}
        bare.pop("vector")
        short |= {"vector": vector(3, 15)}
        house.embedder.calls.clear()
        body = raw(header(house.embedder.info), fits, edited, bare, short)
        assert house.take(body)["embedded"] == 3
        assert house.embedder.calls == [["another text", bare["memory"], short["memory"]]]
        assert house.take(raw(header(), *some(2, "bob")))["embedded"] == 2  # of another embedder
        assert house.take(raw(*some(2, "cat")))["embedded"] == 2  # of nobody knows which

    def test_keeps_the_dates_and_the_place_of_each(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one | {"place": 7, "updated_at": "2024-05-01T00:00:00Z"}))
        [line] = house.lines()
        assert (line["created_at"], line["place"]) == (one["created_at"], 7)
        assert line["updated_at"] == "2024-05-01T00:00:00.000000+00:00"
        assert line["history"] == one["history"]

    def test_of_lines_without_an_id_stores_each_once(self, house: House) -> None:
        lines = [{"memory": "tea", "user_id": "alice"}, {"memory": "tea", "user_id": "bob"}]
        assert house.take(raw(*lines, *lines))["imported"] == 2
        assert house.take(raw(*lines))["unchanged"] == 2

    def test_refuses_another_content_unless_it_is_told_what_to_do(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one))
        other = raw(one | {"memory": "coffee", "history": []})
        [failed] = house.take(other)["failed"]
        assert (failed["line"], failed["code"]) == (1, "conflict")
        assert house.take(other, on_conflict="skip")["skipped"] == 1
        assert house.service.get(one["id"])["memory"] == one["memory"]
        assert house.take(other, on_conflict="replace")["replaced"] == 1
        assert house.service.get(one["id"])["memory"] == "coffee"
        assert [event for event, _ in house.events(one["id"])] == ["ADD", "UPDATE", "UPDATE"]
        assert house.take(other, on_conflict="replace")["unchanged"] == 1

    def test_never_moves_a_memory_to_another_scope(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one))
        moved = raw(one | {"user_id": "bob"})
        [failed] = house.take(moved, on_conflict="replace")["failed"]
        assert failed["code"] == "conflict"
        assert house.service.get(one["id"])["user_id"] == "alice"

    def test_of_one_id_twice_compares_the_second_with_the_first(self, house: House) -> None:
        [one] = some(1)
        found = house.take(raw(one, one, one | {"memory": "coffee"}))
        assert (found["imported"], found["unchanged"], found["failed_total"]) == (1, 1, 1)
        assert found["failed"][0]["line"] == 3

    def test_that_is_a_rehearsal_writes_nothing(self, house: House) -> None:
        kept, new = some(2)
        house.take(raw(kept))
        house.embedder.calls.clear()
        gone = {"type": "deleted", "id": new["id"], "user_id": "alice"}
        gone |= {"history": [{"event": "ADD"}, {"event": "DELETE"}]}
        found = house.take(raw(kept, new, gone, {"memory": ""}), dry_run=True)
        assert (found["imported"], found["unchanged"], found["failed_total"]) == (1, 1, 1)
        assert (found["deleted_histories"], found["dry_run"]) == (1, True)
        assert house.store.count({}) == 1
        assert house.embedder.calls == []

    def test_brings_one_back_that_was_deleted_here_and_goes_on_with_its_history(
        self, house: House
    ) -> None:
        [one] = some(1)
        house.take(raw(one))
        house.service.delete(one["id"])
        assert house.take(raw(one))["imported"] == 1
        events = [event for event, _ in house.events(one["id"])]
        assert events == ["ADD", "UPDATE", "DELETE", "ADD"]

    def test_without_a_history_says_who_added_it_and_when_that_was(self, house: House) -> None:
        [one] = some(1)
        one.pop("history")
        house.take(raw(one))
        [row] = house.service.history(one["id"])
        assert (row["event"], row["written_by"]) == ("ADD", "admin")
        assert row["updated_at"] > one["created_at"]

    def test_gives_a_history_that_lacks_its_beginning_one(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one | {"history": one["history"][1:]}))
        assert [event for event, _ in house.events(one["id"])] == ["ADD", "UPDATE"]
        assert house.history.living() == 1

    def test_that_broke_off_is_whole_after_it_is_sent_again(self, house: House) -> None:
        body = whole(some(5))
        house.store.mood = "after"
        with pytest.raises(VectorStoreTimeout) as raised:
            house.take(body)
        assert "send it again" in raised.value.detail
        house.store.mood = ""
        house.take(body)
        assert [line["history"] for line in house.lines()] == [
            one["history"] for one in reversed(some(5))
        ]

    def test_says_whether_the_file_is_whole(self, house: House) -> None:
        body = whole(some(2))
        assert house.take(body)["whole"] is True
        assert house.take(body + whole(some(1, "bob")))["whole"] is True
        assert house.take(body.replace(b"memory 1", b"memory 2"))["whole"] is False
        assert house.take(body[: body.rindex(b'{"type"')])["whole"] is False
        assert house.take(raw(*some(1)))["whole"] is None

    def test_refuses_each_wrong_line_by_itself(self, house: House) -> None:
        [one] = some(1)
        wrong = {
            b"nope": "not JSON",
            b"[1]": "not a JSON object",
            b'{"memory": "a", "memory": "b", "user_id": "c"}': "is given twice",
            b'{"memory": "\xff", "user_id": "a"}': "not UTF-8",
            b"[" * 100_000: "nested too deeply",
            raw({"type": "other"}): "must be one of",
            raw({"memory": "a"}): "at least one of",
            raw({"memory": " ", "user_id": "a"}): "must not be blank",
            raw(one | {"usr": 1}): "there is no such field",
            raw(one | {"id": "7"}): "must be a UUID",
            raw(one | {"created_at": "2999-01-01T00:00:00Z"}): "in the future",
            raw(one | {"metadata": {"hash": 1}}): "the memory's own",
            raw(one | {"vector": "AAA"}): "must be base64",
            raw(one | {"vector": [float("nan")]}): "NaN",
            b'{"memory": "a", "user_id": "b", "place": 1e999}': "too large",
            raw(one | {"history": [{"event": "DELETE"}]}): "must not end with DELETE",
            raw({"type": "deleted", "id": one["id"], "user_id": "a", "history": []}): "history",
            raw(header() | {"version": 2}): "of version 1",
        }
        body = b"".join(line.strip() + b"\n" for line in wrong)
        found = house.take(body + raw(one))
        assert [failed["line"] for failed in found["failed"]] == [*range(1, len(wrong) + 1)]
        for failed, said in zip(found["failed"], wrong.values(), strict=True):
            assert said in failed["detail"]
        assert found["imported"] == 1

    def test_names_no_more_than_a_thousand_failures_and_counts_all(self, house: House) -> None:
        found = house.take(b"nope\n" * 1001)
        assert (len(found["failed"]), found["failed_total"]) == (1000, 1001)


class TestABoundKey:
    def test_brings_its_own_and_no_history(self, house: House) -> None:
        mine, others = memory(1, "bob"), memory(2, "alice")
        mine.pop("user_id")
        mine["history"][0]["written_by"] = "admin"
        found = house.take(raw(mine, others), BOB)
        assert (found["imported"], found["histories_left_out"]) == (1, 1)
        assert [(one["line"], one["code"]) for one in found["failed"]] == [(2, "forbidden")]
        assert house.events(mine["id"]) == [("ADD", BOB.id)]
        assert house.service.get(mine["id"])["created_at"] == mine["created_at"]

    def test_can_use_nobody_elses_id(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one))
        [failed] = house.take(raw(one | {"user_id": "bob"}), BOB, on_conflict="replace")["failed"]
        assert (failed["code"], "another scope" in failed["detail"]) == ("conflict", False)
        assert house.service.get(one["id"])["memory"] == one["memory"]

    def test_brings_no_history_of_what_was_deleted(self, house: House) -> None:
        events = [{"event": "ADD"}, {"event": "DELETE", "written_by": "admin"}]
        line = {"type": "deleted", "id": memory(1, "bob")["id"], "history": events}
        found = house.take(raw(line), BOB)
        assert (found["histories_left_out"], found["deleted_histories"]) == (1, 0)
        assert not house.history.known([line["id"]])

    def test_exports_its_own(self, house: House) -> None:
        house.take(raw(*some(1), memory(1, "bob"), memory(2, "bob")))
        house.service.delete(memory(2, "bob")["id"])
        lines = house.lines(BOB, history="all")
        assert [(line["type"], line["user_id"]) for line in lines] == [
            ("memory", "bob"),
            ("deleted", "bob"),
        ]
        with pytest.raises(Forbidden):
            next(house.export(BOB, user_id="alice"))

    def test_that_may_only_read_exports_and_does_not_import(self, house: House) -> None:
        house.take(raw(*some(1)))
        assert len(house.lines(READER)) == 1
        with pytest.raises(Forbidden):
            house.take(raw(*some(1)), READER)


class TestAnExport:
    def test_breaks_off_where_its_memories_are_deleted(self, house: House) -> None:
        house.take(raw(*some(3)))
        lines = house.export(user_id="alice")
        next(lines)
        next(lines)
        house.service.delete_all({"user_id": "bob"})
        next(lines)
        house.service.delete_all(ALICE)
        with pytest.raises(ServiceBusy):
            list(lines)

    def test_leaves_out_what_is_deleted_meanwhile(self, house: House) -> None:
        house.take(raw(*some(6)))
        lines = house.export()
        next(lines)  # with which the first 4 are read
        house.service.delete(memory(1, "alice")["id"])
        *rest, end = [json.loads(line) for line in lines]
        assert [line["memory"] for line in rest] == [
            f"memory {n} of alice" for n in (5, 4, 3, 2, 0)
        ]
        assert (end["type"], end["memories"]) == ("end", 5)

    def test_has_those_of_one_time_in_the_order_of_their_ids(self, house: House) -> None:
        time = "2024-01-01T00:00:00Z"
        house.take(raw(*(one | {"created_at": time} for one in some(70))))
        ids = [line["id"] for line in house.lines()]
        assert ids == sorted(ids)
        assert len(ids) == 70

    def test_has_the_expired_ones(self, house: House) -> None:
        [one] = some(1)
        house.take(raw(one | {"expiration_date": "2020-01-01"}))
        [line] = house.lines()
        assert line["expiration_date"] == "2020-01-01"

    def test_leaves_out_what_it_is_not_asked_for(self, house: House) -> None:
        house.take(raw(*some(2)))
        house.service.delete(memory(1, "alice")["id"])
        [line] = house.lines(history="none")
        assert {"vector", "history"}.isdisjoint(line)
        assert [line["type"] for line in house.lines(history="all")] == ["memory", "deleted"]

    def test_of_nothing_is_whole(self, house: House) -> None:
        first, last = [json.loads(line) for line in house.export()]
        assert (first["type"], last["type"], last["memories"]) == ("header", "end", 0)


CONVERSATION = {
    "type": "conversation",
    "user_id": "alice",
    "timestamp": "2024-05-01T10:00:00Z",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I like tea.", "name": "Alice"},
        {"role": "assistant", "content": "Which tea?", "time": "2024-05-01T10:01:00Z"},
    ],
}


class TestAConversation:
    def test_is_stored_message_by_message_and_once(self, house: House) -> None:
        assert house.take(raw(CONVERSATION))["imported"] == 2
        assert house.take(raw(CONVERSATION))["unchanged"] == 2
        answer, said = house.lines()
        assert (said["memory"], said["actor_id"], said["role"]) == ("I like tea.", "Alice", "user")
        assert answer["created_at"] == "2024-05-01T10:01:00.000000+00:00"
        assert answer["place"] == said["place"] + 1

    def test_is_read_by_the_llm_and_once(self, house: House) -> None:
        found = house.take(raw(CONVERSATION), infer=True)
        assert (found["conversations"], found["inferred"], found["imported"]) == (1, 1, 0)
        house.take(raw(CONVERSATION), infer=True)
        assert len(house.finder.asked) == 1
        assert [line["memory"] for line in house.lines()] == ["Likes tea"]
