"""`POST /import/{format}`: bodies of other formats."""

from typing import Any

import httpx
import pytest

from tests.service import Service
from tests.unit.formats.samples import sample


def send(service: Service, name: str, body: bytes, **options: Any) -> httpx.Response:
    return service.http.post(
        f"/import/{name}",
        params=options,
        content=body,
        headers={"Content-Type": "application/json"},
    )


def sent(service: Service, name: str, file: str, **options: Any) -> dict[str, Any]:
    answer = send(service, name, sample(file), **options)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def test_a_list_of_mem0_is_stored_under_its_ids_with_what_it_says(empty_service: Service) -> None:
    report = sent(empty_service, "mem0", "mem0-v1-list.json", user_id="carol")
    assert (report["imported"], report["failed"], report["lines"]) == (3, [], 3)
    memory = empty_service.ask("get", memory_id="0a2f9c1e-5b7d-4c36-9e0a-1f2d3c4b5a60")
    assert (memory["memory"], memory["user_id"]) == ("Prefers vegetarian food", "alice")
    assert memory["metadata"]["categories"] == ["food", "health"]
    assert memory["created_at"] == "2024-07-20T08:30:36.275141+00:00"
    assert memory["expiration_date"] == "2030-12-31"
    assert empty_service.ask("get_all", agent_id="tutor")["total"] == 1
    assert empty_service.ask("get_all", user_id="carol")["total"] == 2


@pytest.mark.parametrize(
    ("name", "file", "imported", "refused"),
    [
        ("mem0", "mem0-v1-list.json", 3, []),
        ("mem0", "mem0-v3-pages.json", 3, []),
        ("mem0", "mem0-server.json", 1, []),
        ("mem0", "mem0-export.json", 6, []),
        ("mem0", "mem0-export-list.json", 2, []),
        ("chatgpt", "chatgpt-conversations.json", 6, [3]),
        ("chatgpt", "chatgpt-memories.json", 1, [2]),
        ("claude", "claude-conversations.json", 4, [3]),
        ("claude", "claude-memories.json", 5, []),
    ],
)
def test_each_sample_gives_what_it_has_and_the_same_when_it_is_sent_again(
    empty_service: Service, name: str, file: str, imported: int, refused: list[int]
) -> None:
    report = sent(empty_service, name, file, user_id="carol")
    assert (report["imported"], [one["line"] for one in report["failed"]]) == (imported, refused)
    before = empty_service.ask("get_all")
    assert before["total"] == imported
    again = sent(empty_service, name, file, user_id="carol")
    assert (again["imported"], again["unchanged"]) == (0, imported)
    assert empty_service.ask("get_all") == before


def test_a_conversation_keeps_who_said_what_when_and_in_which_run(empty_service: Service) -> None:
    sent(empty_service, "claude", "claude-conversations.json", user_id="carol")
    run_id = "c0000000-0000-4000-8000-000000000001"
    found = empty_service.ask("get_all", user_id="carol", run_id=run_id)["results"]
    assert [(one["role"], one["memory"], one["created_at"]) for one in found] == [
        (
            "assistant",
            "Here is an outline.\nAnd a source.",
            "2026-09-21T14:00:31.123456+00:00",
        ),
        ("user", "I lead the brand team", "2026-09-21T14:00:10.000000+00:00"),
    ]


def test_without_a_user_each_that_needs_one_is_named(empty_service: Service) -> None:
    report = sent(empty_service, "chatgpt", "chatgpt-conversations.json")
    assert (report["imported"], report["failed_total"]) == (0, 4)
    assert "give a user_id" in report["failed"][0]["detail"]
    assert empty_service.ask("get_all")["total"] == 0


def test_a_rehearsal_stores_nothing(empty_service: Service) -> None:
    report = sent(empty_service, "claude", "claude-memories.json", user_id="carol", dry_run="true")
    assert (report["imported"], report["dry_run"]) == (5, True)
    assert empty_service.ask("get_all")["total"] == 0


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("mem0", b"name;text", "not of the format mem0"),
        ("chatgpt", b"PK\x03\x04", "not of the format chatgpt"),
        ("claude", b"\xff\xfe\xfd", "not of the format claude"),
    ],
)
def test_a_body_of_something_else_is_refused(
    service: Service, name: str, body: bytes, says: str
) -> None:
    refused = send(service, name, body, user_id="carol")
    assert refused.status_code == 400
    assert says in refused.json()["detail"]
    assert "may be stored" not in refused.json()["detail"]


def test_what_a_format_or_a_user_may_not_be_is_named(service: Service, user: str) -> None:
    wrong = [({"name": "openmemory"}, "format"), ({"user_id": "a b"}, "user_id"), ({"x": 1}, "x")]
    for options, field in wrong:
        refused = send(service, **{"name": "mem0", "body": b"[]", "user_id": user, **options})
        assert refused.status_code == 400
        assert [one["field"] for one in refused.json()["errors"]] == [field]


def test_a_body_of_lines_is_no_json_and_the_other_way_round(service: Service) -> None:
    as_json = {"Content-Type": "application/json"}
    assert service.http.post("/import", content=b"", headers=as_json).status_code == 415
    as_lines = {"Content-Type": "application/x-ndjson"}
    refused = service.http.post("/import/mem0", content=b"[]", headers=as_lines)
    assert refused.status_code == 415
    assert "application/json" in refused.json()["detail"]


def test_what_a_memory_may_not_be_is_named_by_its_place(service: Service, user: str) -> None:
    items = b'{"memory": " ", "user_id": "%s"}, {"memory": "Likes tea", "user_id": "a b"}'
    body = b"[" + items % user.encode() + b', {"memory": "\\ud83d"}, {"memory": "x", "n": NaN}]'
    report = send(service, "mem0", body, user_id=user).json()
    assert report["imported"] == 0
    assert [(one["line"], one["code"]) for one in report["failed"]] == [
        (n, "invalid_request") for n in (1, 2, 3, 4)
    ]
    assert "memory: must not be blank" in report["failed"][0]["detail"]
    assert "user_id" in report["failed"][1]["detail"]
    assert "half of a surrogate pair" in report["failed"][2]["detail"]
    assert "a number that JSON cannot have" in report["failed"][3]["detail"]
