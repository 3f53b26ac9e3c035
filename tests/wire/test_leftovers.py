"""The receipt of a purge, and whether a scope has left anything."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.filling import STORES, Place
from tests.service import ADMIN_KEY, Service, wait_for

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
TEXT = "quicksilver in the blue thermometer"
PLACES = ("memories", "history", "messages", "answers", "jobs", "intents")


@pytest.fixture(scope="module", params=STORES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with ExitStack() as stack:
        place = Place(request.param, tmp_path_factory.mktemp("leftovers") / "data", stack)
        # So long that what was written is not brought to the disk by itself meanwhile.
        yield place.start(ADMIN_API_KEY=ADMIN_KEY, FLUSH_SECONDS="600")


@pytest.fixture
def service(running: Service) -> Service:
    running.http.headers.update(ADMIN)
    return running


def look(service: Service, user: str, *texts: str) -> Any:
    asked = {"user_id": user} | ({"texts": [*texts]} if texts else {})
    answer = service.http.post("/leftovers", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fill(service: Service, user: str) -> None:
    """Something of the user wherever it can be."""
    body = {"data": TEXT, "user_id": user, "infer": False}
    assert service.post("add", body, headers={"Idempotency-Key": f"key-{user}"}).is_success
    gone = service.ask("add", data="amalgam", user_id=user, infer=False)["result"]
    service.ask("delete", memory_id=gone)
    later = {"Prefer": "respond-async"}
    job = service.post("add", {**body, "data": f"{TEXT} again"}, headers=later)
    wait_for(lambda: service.http.get(job.headers["Location"]).json()["status"] == "succeeded", 30)


def said(folder: Path, user: str) -> None:
    """A conversation as an LLM would have been given it; there is none here."""
    with closing(sqlite3.connect(folder / "history.db", timeout=30)) as connection:
        connection.execute(
            "INSERT INTO messages (id, session_scope, role, content, created_at, user_id) "
            "VALUES ('1', ?, 'user', ?, '2026', ?)",
            [f"user_id={user}", TEXT, user],
        )
        connection.commit()


def test_a_purge_says_how_much_it_erased_where(service: Service, user: str) -> None:
    fill(service, user)
    said(service.data_dir, user)
    before = look(service, user)["found"]
    answer = service.ask("delete_all", user_id=user, purge=True)
    assert answer["erased"] == before
    assert before["memories"] == 2
    assert before["history"] == 4
    assert [before[place] for place in ("messages", "answers", "jobs")] == [1, 1, 1]
    assert "erased" not in service.ask("delete_all", user_id=user)


def test_before_a_purge_everything_is_found_and_after_it_nothing(
    service: Service, user: str
) -> None:
    fill(service, user)
    found = look(service, user, TEXT)
    assert not found["clean"]
    assert found["files"]
    service.ask("delete_all", user_id=user)
    assert look(service, user)["found"]["history"]
    service.ask("delete_all", user_id=user, purge=True)
    assert look(service, user)["found"] == dict.fromkeys(PLACES, 0)
    assert look(service, user)["clean"]


def test_nothing_of_another_user_is_counted(service: Service, user: str) -> None:
    fill(service, user)
    assert look(service, f"{user}-2")["found"] == dict.fromkeys(PLACES, 0)
    service.ask("delete_all", user_id=f"{user}-2", purge=True)
    assert look(service, user)["found"]["memories"] == 2


def test_a_text_in_a_file_is_not_clean_whatever_the_tables_say(service: Service, user: str) -> None:
    words = f"heliotrope of {user} “und so weiter”"
    assert look(service, user, words)["clean"]
    for name, content in (("plain", words), ("json", json.dumps({"a": words}))):
        file = service.data_dir / name
        # Across the border of two pieces that are read.
        file.write_bytes(b" " * (2**20 - 9) + content.encode())
        found = look(service, user, "nothing of this kind", words)
        assert (found["clean"], found["files"]) == (False, [name])
        file.unlink()


def test_it_says_where_it_could_not_look(service: Service, user: str) -> None:
    unseen = [one["where"] for one in look(service, user)["unseen"]]
    store = ["vector_store"] if "QDRANT_URL" in service.environ else []
    assert unseen == [*store, "files"]
    assert [one["where"] for one in look(service, user, TEXT)["unseen"]] == store


def test_the_texts_that_are_looked_for_are_in_no_log(service: Service, user: str) -> None:
    look(service, user, "a secret that nobody may read")
    assert "a secret that nobody may read" not in service.log.read_text()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "body"),
        ({"user_id": "a", "texts": []}, "texts"),
        ({"user_id": "a", "texts": ["short"]}, "texts.0"),
        ({"user_id": "a", "texts": ["long enough"] * 11}, "texts"),
        ({"user_id": "a", "text": "long enough"}, "text"),
    ],
)
def test_what_is_wrong_is_named(service: Service, asked: dict[str, Any], field: str) -> None:
    refused = service.http.post("/leftovers", json=asked)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_it_is_the_admins_alone(service: Service, user: str) -> None:
    issued = service.http.post("/keys", json={"user_id": user}).json()
    bearer = {"Authorization": f"Bearer {issued['key']}"}
    refused = service.http.post("/leftovers", json={"user_id": user}, headers=bearer)
    assert refused.status_code == 403
