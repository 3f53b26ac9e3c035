"""POST /batch over HTTP: many adds, each answered by itself."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.security.keys import Keys
from app.security.principal import Principal
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import ADMIN_KEY, ONCE, Service, wait_for

POINTS = "/collections/memories/points"
Headers = dict[str, str]


def batch(service: Service, adds: Any, **options: Any) -> httpx.Response:
    return service.http.post("/batch", json={"adds": adds}, **options)


def results(service: Service, adds: Any, **options: Any) -> list[dict[str, Any]]:
    response = batch(service, adds, **options)
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["results"]
    assert len(answers) == len(adds)
    return answers


def statuses(answers: list[dict[str, Any]]) -> list[int]:
    return [answer["status"] for answer in answers]


def said(user: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"data": text, "user_id": user, **fields}


def texts(service: Service, user: str) -> list[str]:
    return [one["memory"] for one in service.ask("get_all", user_id=user)["results"]]


# ---- each by itself


def test_each_body_gets_the_answer_that_add_would_give_in_the_order_of_the_bodies(
    service: Service, user: str
) -> None:
    turns = [{"role": "user", "content": "Likes tea"}, {"role": "assistant", "content": "Noted"}]
    adds = [
        said(user, "has a dog"),
        {"messages": turns, "agent_id": f"agent of {user}".replace(" ", "-"), "run_id": user},
        said(user, "x", user_idd="typo"),
        said(user, "x", infer=True),
        said(f"{user}-2", "has a cat"),
    ]
    answers = results(service, adds)
    assert statuses(answers) == [201, 201, 400, 501, 201]
    assert [one["memory"] for one in answers[1]["results"]] == ["Likes tea", "Noted"]
    assert answers[0]["result"] == answers[0]["results"][0]["id"]
    assert texts(service, user) == ["has a dog"]
    assert texts(service, f"{user}-2") == ["has a cat"]
    for number in (2, 3):
        alone = service.post("add", adds[number]).json()
        given = answers[number]
        assert given.keys() == alone.keys()
        assert (given["code"], given["detail"]) == (alone["code"], alone["detail"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": "x", "user_id": ""}, "adds.1.user_id"),
        ({"data": "x"}, "adds.1"),
        (
            {"messages": [{"role": "king", "content": "x"}], "user_id": "a"},
            "adds.1.messages.0.role",
        ),
        ({"data": "x", "user_id": "a", "timestamp": "now"}, "adds.1.timestamp"),
        (["x"], "adds.1"),
        (None, "adds.1"),
    ],
)
def test_a_wrong_body_is_named_by_its_place_and_stops_no_other(
    service: Service, user: str, body: Any, field: str
) -> None:
    answers = results(service, [said(user, "one"), body, said(user, "two")])
    assert statuses(answers) == [201, 400, 201]
    assert [error["field"] for error in answers[1]["errors"]] == [field]
    assert sorted(texts(service, user)) == ["one", "two"]


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        ({}, "adds"),
        ({"adds": []}, "adds"),
        ({"adds": {}}, "adds"),
        ({"adds": None}, "adds"),
        ({"adds": [{}] * 1001}, "adds"),
        ({"adds": [{}], "user_id": "a"}, "user_id"),
        ([], "body"),
    ],
)
def test_a_wrong_envelope_is_400_as_a_whole(service: Service, envelope: Any, field: str) -> None:
    response = service.http.post("/batch", json=envelope)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_thousand_adds_have_one_history_each(service: Service, user: str) -> None:
    answers = results(service, [said(f"{user}-{n % 7}", f"n{n}") for n in range(1000)])
    assert statuses(answers) == [201] * 1000
    assert [one["results"][0]["memory"] for one in answers] == [f"n{n}" for n in range(1000)]
    assert len({one["result"] for one in answers}) == 1000
    assert sum(len(texts(service, f"{user}-{n}")) for n in range(7)) == 1000
    for answer in random.Random(1).sample(answers, 5):
        (event,) = service.ask("history", memory_id=answer["result"])["results"]
        assert (event["event"], event["new_memory"]) == ("ADD", answer["results"][0]["memory"])


# ---- when it was said


def test_a_timestamp_is_the_time_of_the_memory_and_listings_go_by_it(
    service: Service, user: str
) -> None:
    days = [f"2024-05-{day:02}T12:00:00Z" for day in range(1, 21)]
    adds = [said(user, time, timestamp=time) for time in random.Random(2).sample(days, 20)]
    assert statuses(results(service, adds)) == [201] * 20
    listed = service.ask("get_all", user_id=user)["results"]
    assert [one["memory"] for one in listed] == days[::-1]
    assert listed[0]["created_at"].startswith("2024-05-20T12:00:00")


def neighbours(service: Service, user: str) -> dict[str, float]:
    """What the memories of a user give each other in a search."""
    found = service.ask("search", query="tea", user_id=user, limit=50, explain=True)["results"]
    return {one["memory"]: one["neighbours"] for one in found}


def test_what_came_in_one_batch_without_a_run_or_a_time_has_no_neighbours(
    service: Service, user: str
) -> None:
    words = [f"tea {n}" for n in range(4)]
    results(service, [said(user, text) for text in words])
    assert set(neighbours(service, user).values()) == {0.0}
    results(service, [said(f"{user}-run", text, run_id="r") for text in words])
    assert all(neighbours(service, f"{user}-run").values())


def test_a_shuffled_batch_with_times_is_searched_like_one_told_in_order(
    service: Service, user: str
) -> None:
    told = [(f"tea {n}", f"2024-05-01T12:{n:02}:00Z") for n in range(12)]
    for text, time_ in told:
        service.ask("add", **said(f"{user}-told", text, timestamp=time_))
    shuffled = random.Random(3).sample(told, len(told))
    results(service, [said(user, text, timestamp=time_) for text, time_ in shuffled])
    in_order = neighbours(service, f"{user}-told")
    assert all(in_order.values())
    assert neighbours(service, user) == pytest.approx(in_order)


# ---- asked again


def again(service: Service, key: str, adds: Any) -> list[dict[str, Any]]:
    return results(service, adds, headers={"Idempotency-Key": key})


def test_a_repeat_gives_the_first_answers_and_stores_nothing(service: Service, user: str) -> None:
    adds = [said(f"{user}-{n % 3}", f"n{n}") for n in range(150)]
    first = again(service, user, adds)
    assert again(service, user, adds) == first
    assert sum(len(texts(service, f"{user}-{n}")) for n in range(3)) == 150


def test_a_repeat_tries_again_what_failed(service: Service, user: str) -> None:
    adds = [said(user, "one"), said(user, "two", infer=True)]
    assert statuses(again(service, user, adds)) == [201, 501]
    first, second = again(service, user, adds)
    assert (first["status"], second["status"]) == (201, 501)
    assert texts(service, user) == ["one"]


def test_the_key_of_a_batch_with_another_body_is_422_and_nothing_is_stored(
    service: Service, user: str
) -> None:
    again(service, user, [said(user, "one")])
    headers = {"Idempotency-Key": user}
    response = batch(service, [said(user, "one"), said(user, "two")], headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert texts(service, user) == ["one"]


def test_after_a_purge_the_erased_ones_alone_are_410(service: Service, user: str) -> None:
    adds = [said(user, "one"), said(f"{user}-2", "two")]
    first = again(service, user, adds)
    service.ask("delete_all", user_id=user, purge=True)
    erased, kept = again(service, user, adds)
    assert (erased["status"], erased["code"]) == (410, "idempotency_key_erased")
    assert kept == first[1]
    assert texts(service, user) == []


# ---- who may, how often, how much


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "ADMIN_API_KEY": ADMIN_KEY,
        "MAX_BODY_BYTES": "2000",
        "MAX_BATCH_BYTES": "200000",
        "RATE_LIMIT": "100/hour",
    }
    with Service(tmp_path_factory.mktemp("guarded") / "data", **settings) as running:
        yield running


def key_of(scope: dict[str, str], *, read_only: bool = False) -> Headers:
    who = Principal(uuid.uuid4().hex[:8], scope, read_only)
    return {"X-API-Key": Keys(ADMIN_KEY).mint(who, time.time() + 3600)}


def test_a_bound_key_adds_to_its_own_scope_alone(guarded: Service, user: str) -> None:
    adds = [{"data": "own"}, said(user, "own too"), said("bob", "not hers")]
    answers = results(guarded, adds, headers=key_of({"user_id": user}))
    assert statuses(answers) == [201, 201, 403]
    listed = guarded.post("get_all", {}, headers=key_of({"user_id": "bob"})).json()
    assert listed["total"] == 0
    hers = guarded.post("get_all", {}, headers=key_of({"user_id": user})).json()
    assert {one["memory"] for one in hers["results"]} == {"own", "own too"}


def test_a_key_that_may_only_read_is_403_and_none_is_401(guarded: Service, user: str) -> None:
    reader = key_of({"user_id": user}, read_only=True)
    assert batch(guarded, [{"data": "x"}], headers=reader).status_code == 403
    assert batch(guarded, [said(user, "x")]).status_code == 401


def test_every_add_counts_for_the_rate(guarded: Service, user: str) -> None:
    hers = key_of({"user_id": user})
    response = batch(guarded, [{"data": f"n{n}"} for n in range(60)], headers=hers)
    assert (response.status_code, response.headers["RateLimit-Remaining"]) == (200, "40")
    refused = batch(guarded, [{"data": f"n{n}"} for n in range(60)], headers=hers)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) > 1
    fits = batch(guarded, [{"data": f"n{n}"} for n in range(39)], headers=hers)
    assert (fits.status_code, fits.headers["RateLimit-Remaining"]) == (200, "0")


def test_more_adds_than_the_rate_ever_lets_through_are_400(guarded: Service, user: str) -> None:
    hers = key_of({"user_id": user})
    response = batch(guarded, [{"data": f"n{n}"} for n in range(101)], headers=hers)
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"field": "adds", "message": "must be at most 100: each counts for RATE_LIMIT"}
    ]


def test_a_body_has_a_bound_of_its_own(guarded: Service, user: str) -> None:
    hers = key_of({"user_id": user})
    fits = [{"data": "x" * 90_000}, {"data": "y" * 90_000}]
    assert statuses(results(guarded, fits, headers=hers)) == [201, 201]
    body = {"adds": [*fits, {"data": "z" * 90_000}]}
    refused = ONCE.post(f"{guarded.url}/batch", json=body, headers=hers)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert "MAX_BATCH_BYTES" in refused.json()["detail"]
    chunked = ONCE.post(
        f"{guarded.url}/batch",
        content=(b" " * 50_000 for _ in range(6)),
        headers={**hers, "Content-Type": "application/json"},
    )
    assert chunked.status_code == 413


# ---- what others do


class Deployment:
    """The service, and what it stands on."""

    def __init__(self, service: Service, openai: OpenAIServer, qdrant: QdrantServer) -> None:
        self.service = service
        self.openai = openai
        self.qdrant = qdrant


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with OpenAIServer(dimensions=64) as openai, QdrantServer() as qdrant:
        settings = {
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_BASE_URL": f"{openai.url}/v1",
            "QDRANT_URL": qdrant.url,
            "QDRANT_TIMEOUT": "1",
            "EMBEDDER_TIMEOUT": "1",
        }
        with Service(tmp_path_factory.mktemp("batches") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            yield Deployment(service, openai, qdrant)


@pytest.fixture
def deployment(started: Deployment) -> Iterator[Deployment]:
    yield started
    started.openai.clear_faults()
    started.openai.refused.clear()
    started.openai.reply = None
    started.qdrant.clear_faults()


def given(user: str, text: str) -> dict[str, Any]:
    return said(user, text, infer=False)


def test_a_hundred_adds_are_embedded_and_written_by_few_requests(
    deployment: Deployment, user: str
) -> None:
    embedded = deployment.openai.count("/v1/embeddings")
    written = deployment.qdrant.count(POINTS, "PUT")
    answers = results(deployment.service, [given(f"{user}-{n}", f"{user} {n}") for n in range(100)])
    assert statuses(answers) == [201] * 100
    assert deployment.openai.count("/v1/embeddings") - embedded == 1
    assert deployment.qdrant.count(POINTS, "PUT") - written == 1


def test_a_text_that_the_embedder_refuses_fails_its_own_add_alone(
    deployment: Deployment, user: str
) -> None:
    bad = {3, 40, 41, 77}
    deployment.openai.refused = {f"{user} {n}" for n in bad}
    adds = [given(user, f"{user} {n}") for n in range(100)]
    answers = again(deployment.service, user, adds)
    assert statuses(answers) == [502 if n in bad else 201 for n in range(100)]
    assert len(texts(deployment.service, user)) == 96
    deployment.openai.refused.clear()
    repeated = again(deployment.service, user, adds)
    assert statuses(repeated) == [201] * 100
    assert [one for n, one in enumerate(repeated) if n not in bad] == [
        one for n, one in enumerate(answers) if n not in bad
    ]
    assert len(texts(deployment.service, user)) == 100


def test_an_embedder_that_is_down_is_not_asked_for_every_part(
    deployment: Deployment, user: str
) -> None:
    adds = [given(user, f"{user} {n}") for n in range(500)]
    deployment.openai.fault("/v1/embeddings", status=500)
    before = deployment.openai.count("/v1/embeddings")
    failed = again(deployment.service, user, adds)
    assert {one["code"] for one in failed} == {"provider_unavailable"}
    assert deployment.openai.count("/v1/embeddings") - before < 5
    assert texts(deployment.service, user) == []
    deployment.openai.clear_faults()
    assert statuses(again(deployment.service, user, adds)) == [201] * 500
    assert len(texts(deployment.service, user)) == 500


def test_a_store_that_did_it_and_did_not_say_so_has_each_add_once(
    deployment: Deployment, user: str
) -> None:
    adds = [given(user, f"{user} {n}") for n in range(60)]
    deployment.qdrant.fault(POINTS, method="PUT", delay=2, apply_first=True, times=1)
    failed = again(deployment.service, user, adds)
    assert {one["code"] for one in failed} == {"vector_store_timeout"}
    assert statuses(again(deployment.service, user, adds)) == [201] * 60
    assert sorted(texts(deployment.service, user)) == sorted(one["data"] for one in adds)


def test_what_the_llm_finds_stands_beside_what_is_stored_as_given(
    deployment: Deployment, user: str
) -> None:
    deployment.openai.reply = json.dumps({"memory": [{"text": f"Likes tea, {user}"}]})
    answers = results(
        deployment.service, [said(user, "I like tea"), given(user, "as it is"), said("", "x")]
    )
    assert statuses(answers) == [201, 201, 400]
    assert answers[0]["results"][0]["memory"] == f"Likes tea, {user}"
    assert sorted(texts(deployment.service, user)) == [f"Likes tea, {user}", "as it is"]


def test_an_llm_that_fails_fails_its_own_adds_alone(deployment: Deployment, user: str) -> None:
    deployment.openai.fault("/v1/chat", status=400)
    answers = results(deployment.service, [said(user, "one"), given(user, "two"), said(user, "x")])
    assert statuses(answers) == [502, 201, 502]
    assert texts(deployment.service, user) == ["two"]


def test_more_than_20_for_an_llm_are_422_and_nothing_is_stored(
    deployment: Deployment, user: str
) -> None:
    chats = deployment.openai.count("/v1/chat")
    response = batch(deployment.service, [given(user, "x"), *[said(user, "y")] * 21])
    assert (response.status_code, response.json()["code"]) == (422, "respond_async_needed")
    assert "respond-async" in response.json()["detail"]
    assert texts(deployment.service, user) == []
    assert deployment.openai.count("/v1/chat") == chats


def test_with_respond_async_each_that_wants_an_llm_is_a_job(
    deployment: Deployment, user: str
) -> None:
    deployment.openai.reply = json.dumps({"memory": [{"text": "Likes tea"}]})
    users = [f"{user}-{n}" for n in range(25)]
    adds = [given(user, "as it is"), *(said(one, "I like tea") for one in users), said("", "x")]
    headers = {"Prefer": "respond-async", "Idempotency-Key": user}
    response = batch(deployment.service, adds, headers=headers)
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "respond-async"
    answers = response.json()["results"]
    assert statuses(answers) == [201, *[202] * 25, 400]
    jobs = [one["job"] for one in answers[1:26]]
    assert len({*jobs}) == 25
    again_ = batch(deployment.service, adds, headers=headers).json()["results"]
    assert again_[:26] == answers[:26]
    for job in jobs:
        ended = deployment.service.http.get(f"/jobs/{job}?wait=20").json()
        assert ended["status"] == "succeeded", ended
    for one in users:
        assert texts(deployment.service, one) == ["Likes tea"]
    assert texts(deployment.service, user) == ["as it is"]
