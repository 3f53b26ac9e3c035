"""Adds that are accepted and done later, over HTTP, with an LLM that can be slow or down."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.metrics import value
from tests.servers.openai import OpenAIServer
from tests.service import ADMIN_KEY, Service, wait_for

CHAT = "/v1/chat/completions"
LATER = {"Prefer": "respond-async"}
MAX_JOBS = 12


class Client:
    """One that has a key, and by default asks for a job."""

    def __init__(self, service: Service, key: str, user: str) -> None:
        self.http = service.client()
        self.http.headers["Authorization"] = f"Bearer {key}"
        self.user = user

    def add(self, text: str, headers: dict[str, str] | None = None, **scope: Any) -> httpx.Response:
        body = {"data": text, "user_id": self.user, **scope}
        return self.http.post("/memory/add", json=body, headers={**LATER, **(headers or {})})

    def accepted(self, text: str, **options: Any) -> str:
        response = self.add(text, **options)
        assert response.status_code == 202, response.text
        job: str = response.json()["job"]
        return job

    def job(self, id_: str, **query: Any) -> Any:
        response = self.http.get(f"/jobs/{id_}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def ended(self, id_: str) -> Any:
        return wait_for(lambda: (job := self.job(id_, wait=1))["ended_at"] and job, 30)

    def nothing_waits(self) -> bool:
        self.http.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        queue = self.http.get("/jobs", params={"limit": 1}).json()
        return bool(queue["pending"] + queue["running"] == 0)

    def texts(self) -> list[str]:
        """Newest first."""
        found = self.http.post("/memory/get_all", json={"user_id": self.user}).json()
        return [memory["memory"] for memory in found["results"]]


@pytest.fixture(scope="module")
def llm() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="module")
def service(llm: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "LLM_BASE_URL": f"{llm.url}/v1",
        "LLM_PROVIDER": "openai",
        "ADMIN_API_KEY": ADMIN_KEY,
        "MAX_JOBS": str(MAX_JOBS),
    }
    with Service(tmp_path_factory.mktemp("jobs") / "data", **settings) as running:
        running.http.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        yield running


@pytest.fixture
def client(service: Service, user: str, llm: OpenAIServer) -> Iterator[Client]:
    made = Client(service, ADMIN_KEY, user)
    with made.http:
        yield made
        llm.clear_faults()
        wait_for(made.nothing_waits, 30)  # and takes the next test's faults


@contextmanager
def held(llm: OpenAIServer, client: Client, **scope: Any) -> Iterator[str]:
    """A job that waits for the LLM meanwhile; its id."""
    before = llm.count(CHAT)
    fault = llm.fault(CHAT, delay=60, times=1)
    try:
        job = client.accepted("I hold the lane", **scope)
        wait_for(lambda: llm.count(CHAT) > before, 30)
        yield job
    finally:
        fault.clear()


def test_it_is_accepted_and_then_done_as_an_add_would_be(client: Client) -> None:
    response = client.add("I like tea")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.json()["status"] in ("pending", "running")
    assert response.headers["Location"] == f"/jobs/{response.json()['job']}"
    job = client.ended(response.json()["job"])
    assert job["status"] == "succeeded"
    assert job["user_id"] == client.user
    [stored] = job["results"]
    assert (stored["id"], stored["memory"]) == (job["result"], "I like tea")
    [memory] = client.http.post("/memory/get_all", json={"user_id": client.user}).json()["results"]
    assert memory["id"] == stored["id"]
    assert memory["created_at"][:23] == job["created_at"][:23]  # it was said when it was accepted


@pytest.mark.parametrize("prefer", ["wait=5, Respond-Async", 'foo="a, b"; x=1, respond-async'])
def test_the_preference_may_stand_among_others(client: Client, prefer: str) -> None:
    assert client.add("I like tea", headers={"Prefer": prefer}).status_code == 202


def test_what_is_wrong_is_said_at_once(client: Client) -> None:
    response = client.add("")
    assert response.status_code == 400
    assert client.http.get("/jobs", params={"user_id": client.user}).json()["jobs"] == []


def test_the_same_key_is_the_same_job_and_an_add_with_it_gives_its_answer(client: Client) -> None:
    key = {"Idempotency-Key": f"k-{client.user}"}
    job = client.accepted("I like tea", headers=key)
    done = client.ended(job)
    again = client.add("I like tea", headers=key)
    assert (again.status_code, again.json()) == (200, {"job": job, "status": "succeeded"})
    assert again.headers["Location"] == f"/jobs/{job}"
    body = {"data": "I like tea", "user_id": client.user}
    at_once = client.http.post("/memory/add", json=body, headers=key)
    assert at_once.status_code == 201
    assert at_once.json() == {"result": done["result"], "results": done["results"]}
    assert client.add("I like milk", headers=key).status_code == 422
    assert client.texts() == ["I like tea"]


def test_a_wait_ends_with_the_job(client: Client, llm: OpenAIServer) -> None:
    with held(llm, client) as job, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.job, job, wait=20)
        assert client.job(job)["status"] == "running"
        llm.clear_faults()
        assert waiting.result(60)["status"] == "succeeded"


@pytest.mark.parametrize("wait", ["21", "-1", "x", "1.5"])
def test_a_wait_is_bounded(client: Client, wait: str) -> None:
    response = client.http.get(f"/jobs/{uuid.uuid4()}", params={"wait": wait})
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "wait"


def test_jobs_of_a_scope_run_one_after_the_other_and_others_beside_them(
    client: Client, llm: OpenAIServer
) -> None:
    with held(llm, client) as first:
        second = client.accepted("I like tea")
        other = client.accepted("I like milk", run_id="1")
        assert client.ended(other)["status"] == "succeeded"
        assert client.job(first)["status"] == "running"
        assert client.job(second)["status"] == "pending"


def test_what_has_not_begun_is_cancelled_and_stores_nothing(
    client: Client, llm: OpenAIServer
) -> None:
    with held(llm, client) as first:
        second = client.accepted("I like tea")
        third = client.accepted("I like milk")
        assert client.http.delete(f"/jobs/{second}").json()["status"] == "cancelled"
        assert client.http.delete(f"/jobs/{second}").status_code == 200
        begun = client.http.delete(f"/jobs/{first}")
        assert (begun.status_code, begun.json()["code"]) == (409, "job_has_begun")
        llm.clear_faults()
        client.ended(third)
    assert sorted(client.texts()) == ["I hold the lane", "I like milk"]
    assert client.job(second)["status"] == "cancelled"


@pytest.mark.parametrize("purge", [False, True])
def test_a_deletion_of_its_scope_cancels_it_also_while_it_is_at_work(
    client: Client, llm: OpenAIServer, purge: bool
) -> None:
    with held(llm, client) as running:
        waiting = client.accepted("I like tea")
        body = {"user_id": client.user, "purge": purge}
        assert client.http.post("/memory/delete_all", json=body).status_code == 200
        states = [client.job(job)["status"] for job in (running, waiting)]
        assert states == ["cancelled", "cancelled"]
        llm.clear_faults()
    after = client.accepted("I like milk")
    assert client.ended(after)["status"] == "succeeded"
    assert client.texts() == ["I like milk"]


def test_a_purge_erases_what_a_job_stored(client: Client) -> None:
    job = client.accepted("I like tea")
    client.ended(job)
    client.http.post("/memory/delete_all", json={"user_id": client.user, "purge": True})
    shown = client.job(job)
    assert (shown["status"], shown["erased"], "results" in shown) == ("succeeded", True, False)


def test_what_a_model_fails_at_is_tried_again(client: Client, llm: OpenAIServer) -> None:
    fault = llm.fault(CHAT, status=503)
    job = client.accepted("I like tea")
    tried = wait_for(lambda: (shown := client.job(job)).get("problem") and shown, 30)
    assert tried["status"] in ("pending", "running")
    assert tried["problem"]["code"] == "provider_unavailable"
    fault.clear()
    done = client.ended(job)
    assert done["status"] == "succeeded"
    assert done["attempts"] >= 2
    assert "problem" not in done
    assert client.texts() == ["I like tea"]


def test_what_a_model_refuses_is_not(client: Client, llm: OpenAIServer) -> None:
    llm.refuse_key()
    job = client.ended(client.accepted("I like tea"))
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert job["problem"]["code"] == "provider_auth_failed"
    assert job["problem"]["status"] == 502
    assert "tea" not in str(job)
    llm.clear_faults()
    assert client.texts() == []


def test_more_than_may_wait_are_refused_with_when_to_ask_again(
    client: Client, llm: OpenAIServer
) -> None:
    with held(llm, client):
        full = wait_for(lambda: (last := client.add("x")).status_code != 202 and last, 30)
        assert (full.status_code, full.json()["code"]) == (429, "too_many_jobs")
        assert int(full.headers["Retry-After"]) > 0
        client.http.post("/memory/delete_all", json={"user_id": client.user})


class TestKeys:
    def test_a_bound_key_sees_its_own(self, service: Service, client: Client) -> None:
        with self.bound(service, client.user) as mine:
            job, other = mine.accepted("I like tea"), client.accepted("x", user_id="another")
            assert mine.ended(job)["status"] == "succeeded"
            assert client.ended(other)["status"] == "succeeded"
            for response in (mine.http.get(f"/jobs/{other}"), mine.http.delete(f"/jobs/{other}")):
                assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
            assert [one["job"] for one in mine.http.get("/jobs").json()["jobs"]] == [job]
            assert mine.http.get("/jobs", params={"user_id": "another"}).status_code == 403
            assert mine.http.get("/jobs", params={"cursor": other}).status_code == 404

    def test_one_that_is_read_only_looks_and_makes_none(
        self, service: Service, client: Client, llm: OpenAIServer
    ) -> None:
        with self.bound(service, client.user, read_only=True) as looking, held(llm, client):
            waiting = client.accepted("I like tea")
            assert looking.job(waiting)["status"] == "pending"
            assert looking.add("x").status_code == 403
            assert looking.http.delete(f"/jobs/{waiting}").status_code == 403

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_who_has_none_learns_nothing(self, client: Client, method: str) -> None:
        client.http.headers.pop("Authorization")
        for path in (f"/jobs/{uuid.uuid4()}", "/jobs"):
            if (method, path) != ("DELETE", "/jobs"):
                assert client.http.request(method, path).status_code == 401

    @contextmanager
    def bound(self, service: Service, user: str, *, read_only: bool = False) -> Iterator[Client]:
        principal = Principal(new_key_id(), {"user_id": user}, read_only)
        made = Client(service, Keys(ADMIN_KEY).mint(principal, time.time() + 3600), user)
        with made.http:
            yield made


def test_they_are_listed_newest_first_by_pages_and_by_status(
    client: Client, llm: OpenAIServer
) -> None:
    done = [client.accepted(f"I like tea {number}") for number in range(3)]
    for job in done:
        client.ended(job)
    with held(llm, client) as running:
        waiting = client.accepted("I like milk")
        mine = {"user_id": client.user}
        listed = client.http.get("/jobs", params=mine).json()
        assert [one["job"] for one in listed["jobs"]] == [waiting, running, *reversed(done)]
        assert (listed["pending"], listed["running"]) == (1, 1)
        page = client.http.get("/jobs", params={**mine, "limit": 2, "status": "succeeded"}).json()
        rest = {**mine, "cursor": page["next_cursor"], "status": "succeeded"}
        last = client.http.get("/jobs", params=rest).json()
        assert [one["job"] for one in page["jobs"] + last["jobs"]] == [*reversed(done)]
        assert last["next_cursor"] is None


def test_operators_see_the_queue(client: Client, service: Service, llm: OpenAIServer) -> None:
    with held(llm, client):
        client.accepted("I like tea")
        assert value(service, "jobs", state="running") == 1
        assert value(service, "jobs", state="pending") == 1
        assert value(service, "jobs_oldest_age_seconds") > 0
        told = wait_for(lambda: client.http.get("/ready").json()["checks"]["jobs"].get("detail"))
        assert told.startswith("1 wait, 1 run, the oldest for ")
    assert value(service, "jobs_ended_total", outcome="succeeded") > 0


class TestPlatform:
    def add(self, client: Client, path: str, **fields: Any) -> httpx.Response:
        body = {"messages": "I like tea", "user_id": client.user, **fields}
        return client.http.post(path, json=body)

    def event(self, client: Client, id_: str) -> Any:
        return client.http.get(f"/v1/event/{id_}/").json()

    def test_async_mode_of_v3_gives_an_event_that_clients_poll(self, client: Client) -> None:
        response = self.add(client, "/v3/memories/add/", async_mode=True)
        answer = response.json()
        assert (answer["status"], "results" in answer) == ("PENDING", False)
        event = wait_for(
            lambda: (now := self.event(client, answer["event_id"]))["status"] == "SUCCEEDED" and now
        )
        [stored] = event["results"]
        assert (stored["memory"], stored["data"]) == ("I like tea", {"memory": "I like tea"})
        assert event["latency"] > 0
        listed = client.http.get("/v1/events/").json()
        assert answer["event_id"] in [one["id"] for one in listed["results"]]

    def test_clients_before_v3_say_it_always_and_are_answered_when_it_is_done(
        self, client: Client
    ) -> None:
        answer = self.add(client, "/v1/memories/", async_mode=True, output_format="v1.1").json()
        assert answer["status"] == "SUCCEEDED"

    def test_what_waits_for_no_llm_is_done_at_once(self, client: Client) -> None:
        answer = self.add(client, "/v3/memories/add/", async_mode=True, infer=False).json()
        assert answer["status"] == "SUCCEEDED"

    def test_a_job_that_failed_says_why(self, client: Client, llm: OpenAIServer) -> None:
        llm.refuse_key()
        id_ = self.add(client, "/v3/memories/add/", async_mode=True).json()["event_id"]
        event = wait_for(lambda: (now := self.event(client, id_))["status"] == "FAILED" and now, 30)
        assert "key" in event["error"]
        llm.clear_faults()
