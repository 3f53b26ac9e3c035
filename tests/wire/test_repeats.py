"""Idempotency-Key on /memory/add: sent again, it gives the first answer and stores nothing."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.servers.openai import OpenAIServer
from tests.service import Service, wait_for


def add(service: Service, key: str, **fields: Any) -> httpx.Response:
    return service.post("add", {"data": "x", **fields}, headers={"Idempotency-Key": key})


def test_the_first_answer_comes_again_and_nothing_is_stored(service: Service, user: str) -> None:
    first = add(service, f"k-{user}", user_id=user)
    again = add(service, f"k-{user}", user_id=user)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert service.ask("get_all", user_id=user)["total"] == 1


def test_a_body_is_compared_as_what_it_says(service: Service, user: str) -> None:
    headers = {"Idempotency-Key": f"k-{user}", "Content-Type": "application/json"}
    for raw in ('{"data":"x","user_id":"%s"}', '{ "user_id": "%s", "data": "\\u0078" }'):
        response = service.post("add", content=(raw % user).encode(), headers=headers)
        assert response.status_code == 201
    assert service.ask("get_all", user_id=user)["total"] == 1


def test_the_fingerprint_of_a_body_is_the_same_in_every_release(service: Service) -> None:
    """Else an upgrade answers 422 to who asks again what was asked before it. A change of the
    model may not change it."""
    metadata = {"n": 1, "\u8336": [None, 0.5]}
    add(service, "of-0.2", user_id="alice", data="I like tea", metadata=metadata)
    with closing(sqlite3.connect(service.data_dir / "history.db")) as database:
        [(fingerprint,)] = database.execute("SELECT fingerprint FROM answers WHERE key = 'of-0.2'")
    assert fingerprint == "4cb07acdc35e79776f71fe17bee80fbd4f20a4cf7abb0ad519e01589267297d8"


def test_a_key_that_version_0_1_left_is_known(service: Service) -> None:
    said = {"messages": [{"role": "user", "content": "Likes tea"}], "user_id": "a"}
    body = {**said, "metadata": {"n": 1}, "infer": False, "expiration_date": "2030-01-02"}
    headers = {"Idempotency-Key": "of-0.1"}
    first = service.post("add", body, headers=headers)
    # As 0.1 kept it: of the body with a null for each field that was left out.
    kept = "e41a6620419804021b3a7d035e4e72534ae5c1bc335a722f8842d0a3792b84a7"
    with closing(sqlite3.connect(service.data_dir / "history.db")) as database, database:
        database.execute("UPDATE answers SET fingerprint = ? WHERE key = 'of-0.1'", [kept])
    assert service.post("add", body, headers=headers).json() == first.json()
    other = service.post("add", body | {"metadata": {"n": 2}}, headers=headers)
    assert other.status_code == 422


def test_another_body_is_422(service: Service, user: str) -> None:
    add(service, f"k-{user}", user_id=user)
    response = add(service, f"k-{user}", user_id=user, data="y")
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert service.ask("get_all", user_id=user)["total"] == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_that_is_none_is_400(service: Service, user: str, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    response = service.post("add", {"data": "x", "user_id": user}, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_failure_is_not_remembered(service: Service, user: str) -> None:
    assert add(service, f"k-{user}", user_id=user, infer=True).status_code == 501
    assert add(service, f"k-{user}", user_id=user, infer=False).status_code == 201


def test_after_delete_all_the_first_answer_comes_again_and_nothing_is_stored(
    service: Service, user: str
) -> None:
    first = add(service, f"k-{user}", user_id=user)
    service.ask("delete_all", user_id=user)
    again = add(service, f"k-{user}", user_id=user)
    assert (again.status_code, again.json()) == (201, first.json())
    assert service.ask("get_all", user_id=user)["total"] == 0


def test_after_a_purge_the_same_is_410_and_another_body_still_422(
    service: Service, user: str
) -> None:
    add(service, f"k-{user}", user_id=user)
    service.ask("delete_all", user_id=user, purge=True)
    again = add(service, f"k-{user}", user_id=user)
    assert (again.status_code, again.json()["code"]) == (410, "idempotency_key_erased")
    assert add(service, f"k-{user}", user_id=user, data="y").status_code == 422
    assert service.ask("get_all", user_id=user)["total"] == 0


def test_after_a_reset_the_same_is_410(empty_service: Service) -> None:
    add(empty_service, "k", user_id="a")
    empty_service.ask("reset")
    assert add(empty_service, "k", user_id="a").status_code == 410
    assert empty_service.ask("get_all")["total"] == 0


def test_eight_at_once_store_one(service: Service, user: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: add(service, f"k-{user}", user_id=user), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["result"] for answer in answers}) == 1
    assert service.ask("get_all", user_id=user)["total"] == 1


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, OpenAIServer]]:
    with OpenAIServer() as openai:
        openai.reply = json.dumps({"memory": [{"text": "Likes tea"}]})
        settings = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1"}
        with Service(tmp_path_factory.mktemp("slow") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield service, openai


def test_while_the_first_is_at_work_the_second_is_409(
    slow: tuple[Service, OpenAIServer], user: str
) -> None:
    service, openai = slow
    openai.requests.clear()
    hanging = openai.fault("/v1/chat", delay=60)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(add, service, "k1", user_id=user)
        wait_for(lambda: openai.count("/v1/chat"))
        second = add(service, "k1", user_id=user)
        assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
        assert int(second.headers["Retry-After"]) > 0
        hanging.clear()
        assert first.result().status_code == 201
    assert add(service, "k1", user_id=user).json() == first.result().json()
    assert openai.count("/v1/chat") == 1


@pytest.mark.parametrize("ending", [15, pytest.param(9, marks=pytest.mark.soak)])
def test_an_answer_outlives_the_process(
    slow: tuple[Service, OpenAIServer], user: str, ending: int
) -> None:
    service, _ = slow
    first = add(service, user, user_id=user, infer=False).json()
    service.stop(ending)
    service.start()
    assert add(service, user, user_id=user, infer=False).json() == first
    assert service.ask("get_all", user_id=user)["total"] == 1


@pytest.mark.soak
def test_one_that_was_killed_at_work_can_be_asked_again(
    slow: tuple[Service, OpenAIServer], user: str
) -> None:
    service, openai = slow
    openai.requests.clear()
    hanging = openai.fault("/v1/chat", delay=60)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(add, service, "k2", user_id=user)
        wait_for(lambda: openai.count("/v1/chat"))
        service.stop(9)
        assert first.exception()
    hanging.clear()
    service.start()
    assert add(service, "k2", user_id=user).status_code == 201
    assert service.ask("get_all", user_id=user)["total"] == 1


def test_a_purge_leaves_no_text_in_history_intents_or_answers(empty_service: Service) -> None:
    word = "quicksilver"
    early = add(empty_service, "k1", user_id="a", data=f"{word} early").json()["result"]
    empty_service.ask("update", memory_id=early, data=f"{word} changed")
    empty_service.ask("delete", memory_id=early)
    add(empty_service, "k2", user_id="a", data=f"{word} late")
    other = empty_service.ask("add", data="not mine to purge", user_id="b")["result"]
    files = [*empty_service.data_dir.glob("history.db*")]
    assert any(word.encode() in file.read_bytes() for file in files)
    assert empty_service.ask("delete_all", user_id="a", purge=True)["deleted"] == 1
    assert not [file for file in files if word.encode() in file.read_bytes()]
    assert empty_service.ask("history", memory_id=other)["results"][0]["new_memory"]
