"""Killed with SIGKILL while adds are accepted and done: none is lost, doubled or brought back.

Clients write down each add that was accepted (202), and each deletion that was answered. At the
end, when every job has ended, a judge counts what is stored. TEST_SEED repeats the random choices.
"""

import os
import random
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.model.looking import kill
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for
from tests.soak.rounds import ROUNDS

KILLS = max(1, ROUNDS // 15)
CLIENTS = 4
USERS = ("ann", "bob", "cat", "dan")
SECONDS_UNTIL_KILLED = (0.2, 1.0)
DELETED = "dan"  # alone: what the others sent must be there
LLM_S = 0.05
JOBS = 60  # of two workers
DELETES = 0.01  # of the requests
REPEATS = 0.2  # of the adds are sent twice with one key


@dataclass
class Books:
    """What the clients were told."""

    accepted: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The user and the job of each text."""
    sent: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Texts that were accepted before a deletion of their user that was answered."""
    maybe_gone: set[str] = field(default_factory=set)
    """Those of a deletion that was cut off, or that came while it was at work."""
    deletions: int = 0
    changing: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """Sends adds and deletions until nobody answers."""

    def __init__(self, service: Service, books: Books, seed: int) -> None:
        self.service = service
        self.books = books
        self.rng = random.Random(seed)

    def until_killed(self) -> None:
        with self.service.client() as http, suppress(httpx.TransportError):
            while True:
                if self.rng.random() < DELETES:
                    self.delete_all(http, DELETED)
                else:
                    self.add(http, self.rng.choice(USERS))

    def add(self, http: httpx.Client, user: str) -> None:
        text = f"fact {uuid.uuid4()}"
        body = {"data": text, "user_id": user, "infer": self.rng.random() < 0.5}
        headers = {"Prefer": "respond-async"}
        twice = self.rng.random() < REPEATS
        if twice:
            headers["Idempotency-Key"] = text.replace(" ", "-")
        with self.books.changing:
            self.books.sent.append(text)
        jobs = set()
        for _ in range(2 if twice else 1):
            response = http.post("/memory/add", json=body, headers=headers)
            if response.status_code in (200, 202):
                jobs.add(response.json()["job"])
                with self.books.changing:
                    self.books.accepted[text] = (user, response.json()["job"])
        assert len(jobs) <= 1

    def delete_all(self, http: httpx.Client, user: str) -> None:
        with self.books.changing:
            before = {text for text, (whose, _) in self.books.accepted.items() if whose == user}
            begun = len(self.books.sent)
            self.books.maybe_gone |= before
        try:
            response = http.post("/memory/delete_all", json={"user_id": user})
        finally:  # one that was cut off may take place all the same
            with self.books.changing:
                self.books.maybe_gone |= {*self.books.sent[max(0, begun - CLIENTS) :]}
        if response.status_code == 200:
            with self.books.changing:
                self.books.gone |= before
                self.books.deletions += 1


@pytest.fixture
def llm() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        running.fault("/v1/chat/completions", delay=LLM_S, apply_first=True)
        yield running


def test_killed_at_any_instant_each_accepted_add_is_stored_once(
    tmp_path: Path, llm: OpenAIServer
) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    rng = random.Random(seed)
    books = Books()
    settings = {"LLM_PROVIDER": "openai", "LLM_BASE_URL": f"{llm.url}/v1"}
    with Service(tmp_path / "data", MAX_JOBS="100000", **settings) as service:
        for _ in range(KILLS):
            work_until_killed(service, books, rng)
            service.start()
        wait_for(lambda: all_ended(service), 120)
        judge(service, books, seed)


def work_until_killed(service: Service, books: Books, rng: random.Random) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [Client(service, books, rng.getrandbits(32)) for _ in range(CLIENTS)]
        working = [pool.submit(client.until_killed) for client in clients]
        threading.Event().wait(rng.uniform(*SECONDS_UNTIL_KILLED))
        kill(service)
        for thread in working:
            thread.result()
    service.reconnect()


def all_ended(service: Service) -> bool:
    queue = service.http.get("/jobs", params={"limit": 1}).json()
    return bool(queue["pending"] + queue["running"] == 0)


def judge(service: Service, books: Books, seed: int) -> None:
    stored = Counter(memory["memory"] for memory in service.ask("get_all")["results"])
    jobs = {job: service.http.get(f"/jobs/{job}").json() for _, job in books.accepted.values()}
    doubled = [text for text, number in stored.items() if number > 1]
    back = [text for text in books.gone if text in stored]
    lost = [
        text
        for text, (user, job) in books.accepted.items()
        if not (user == DELETED and text in books.maybe_gone)
        and (text not in stored or jobs[job]["status"] != "succeeded")
    ]
    states = Counter(job["status"] for job in jobs.values())
    print(
        f"\n{KILLS} kills, {len(books.accepted)} accepted, {books.deletions} deletions, "
        f"{len(lost)} lost, {len(doubled)} doubled, {len(back)} brought back; {dict(states)}, "
        f"interrupted {sum(job['attempts'] > 1 for job in jobs.values())}, TEST_SEED={seed}"
    )
    assert (lost, doubled, back) == ([], [], [])
    assert_one_after_the_other(jobs.values())
    assert {*stored} <= {*books.sent}
    assert not states.keys() - {"succeeded", "cancelled"}
    assert books.accepted


def assert_one_after_the_other(jobs: Iterable[dict[str, Any]]) -> None:
    """Those of each user began when the one before had ended, in the order of their coming."""
    done = [job for job in jobs if job["status"] == "succeeded"]
    for user in {job["user_id"] for job in done}:
        mine = [job for job in done if job["user_id"] == user]
        mine.sort(key=lambda job: (job["created_at"], job["started_at"]))
        for before, after in pairwise(mine):
            assert before["ended_at"] <= after["started_at"]


def test_two_workers_share_the_jobs_and_one_that_is_killed_leaves_its_own_to_the_other(
    tmp_path: Path, llm: OpenAIServer
) -> None:
    settings = {"LLM_PROVIDER": "openai", "LLM_BASE_URL": f"{llm.url}/v1"}
    with QdrantServer() as qdrant:
        settings |= {"QDRANT_URL": qdrant.url, "WEB_CONCURRENCY": "2"}
        with Service(tmp_path / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 60)
            texts = [f"fact {number}" for number in range(JOBS)]
            ids = []
            for number, text in enumerate(texts):
                body = {"data": text, "user_id": USERS[number % len(USERS)]}
                response = service.post("add", body, headers={"Prefer": "respond-async"})
                ids.append(response.json()["job"])
                if number == JOBS // 2:
                    os.kill(service.workers()[0], signal.SIGKILL)
                    service.reconnect()
            wait_for(lambda: all_ended(service), 120)
            jobs = [service.http.get(f"/jobs/{id_}").json() for id_ in ids]
            stored = [memory["memory"] for memory in service.ask("get_all")["results"]]
    assert {job["status"] for job in jobs} == {"succeeded"}
    assert sorted(stored) == sorted(texts)
    assert_one_after_the_other(jobs)
