"""Killed with SIGKILL in the middle of batches: each add is there once and whole, or not at all.

Clients send batches, each with an idempotency key, until the service is killed. After the next
start every memory is compared with what was sent and with its history; then each batch is sent
again with its key, and everything has to be there once. ROUNDS says how many kills there are.
"""

import os
import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.model.looking import broken_chain, histories, kill, pending_intents
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for
from tests.soak.crashes import history_held, slow_down
from tests.soak.rounds import ROUNDS

CLIENTS = 4
ADDS = 150  # of a batch: two writes
SECONDS_UNTIL_KILLED = (0.1, 1.0)
TURNS = 3  # of each tenth add: whole or not at all


@dataclass
class Batch:
    key: str
    user: str
    adds: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    """The texts of those that were answered 201."""

    @classmethod
    def new(cls) -> "Batch":
        key = uuid.uuid4().hex
        batch = cls(key, f"user-{key[:8]}")
        for number in range(ADDS):
            turns = TURNS if number % 10 == 0 else 1
            said = [{"role": "user", "content": f"{key} {number} {n}"} for n in range(turns)]
            batch.adds.append({"messages": said, "user_id": f"{batch.user}-{number % 3}"})
        return batch

    def texts(self, number: int) -> list[str]:
        return [message["content"] for message in self.adds[number]["messages"]]

    def send(self, http: httpx.Client) -> None:
        headers = {"Idempotency-Key": self.key}
        response = http.post("/batch", json={"adds": self.adds}, headers=headers)
        assert response.status_code in (200, 409), response.text
        for number, answer in enumerate(response.json().get("results", [])):
            assert answer["status"] in (201, 409, 503, 504), answer
            if answer["status"] == 201:
                self.acknowledged |= {*self.texts(number)}


class Round:
    """The batches of some clients until a kill, and what is there after it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.batches: list[Batch] = []

    def send_until_killed(self) -> None:
        with self._service.client() as http:
            while True:
                batch = Batch.new()
                self.batches.append(batch)
                try:
                    batch.send(http)
                except httpx.TransportError:
                    return

    def check(self, *, complete: bool) -> Counter[str]:
        """How many adds were lost, doubled and half; with `complete` none may be missing."""
        found: Counter[str] = Counter()
        rows = histories(self._service.data_dir / "history.db")
        for batch in self.batches:
            memories = [
                memory
                for n in range(3)
                for memory in self._service.ask("get_all", user_id=f"{batch.user}-{n}")["results"]
            ]
            there = Counter(memory["memory"] for memory in memories)
            found["doubled"] += sum(count > 1 for count in there.values())
            for number in range(ADDS):
                texts = batch.texts(number)
                stored = sum(text in there for text in texts)
                found["half"] += 0 < stored < len(texts)
                wanted = complete or batch.acknowledged.issuperset(texts)
                found["lost"] += wanted and stored < len(texts)
            for memory in memories:
                history = rows.get(memory["id"], [])
                found["without history"] += broken_chain(history) is not None
        return +found


def settle(service: Service) -> None:
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)
    wait_for(lambda: pending_intents(service.data_dir / "history.db") == 0, 30)


def work_until_killed(service: Service, round_: Round, rng: random.Random) -> None:
    """Half of the kills find whoever has written to the store waiting for the history."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(round_.send_until_killed) for _ in range(CLIENTS)]
        threading.Event().wait(rng.uniform(*SECONDS_UNTIL_KILLED))
        with ExitStack() as held:
            if rng.random() < 0.5:
                held.enter_context(history_held(service))
            kill(service)
        for thread in working:
            thread.result()
    service.reconnect()


@pytest.mark.parametrize("store", ["embedded", "server"])
def test_killed_within_batches_every_add_is_there_once_and_whole_or_not_at_all(
    tmp_path: Path, store: str
) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\n{store}: TEST_SEED={seed}")
    rng = random.Random(seed)
    sent = acknowledged = open_ = 0
    with ExitStack() as stack:
        openai = stack.enter_context(OpenAIServer(dimensions=64))
        settings = {
            "EMBEDDER_PROVIDER": "openai",
            "LLM_PROVIDER": "none",
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_BASE_URL": f"{openai.url}/v1",
        }
        qdrant = stack.enter_context(QdrantServer()) if store == "server" else None
        if qdrant:
            settings["QDRANT_URL"] = qdrant.url
        service = stack.enter_context(Service(tmp_path / "data", **settings))
        for _ in range(max(1, ROUNDS // 15)):
            round_ = Round(service)
            if qdrant:
                slow_down(qdrant, rng)
            work_until_killed(service, round_, rng)
            if qdrant:
                qdrant.clear_faults()
            openai.requests.clear()
            service.start()
            settle(service)
            assert not round_.check(complete=False), f"TEST_SEED={seed}"
            sent += ADDS * len(round_.batches)
            texts = [batch.acknowledged for batch in round_.batches]
            acknowledged += sum(map(len, texts))
            open_ += sum(not known for known in texts)
            for batch in round_.batches:
                batch.send(service.http)
                assert len(batch.acknowledged) == sum(map(len, map(batch.texts, range(ADDS))))
            assert not round_.check(complete=True), f"TEST_SEED={seed}"
    print(
        f"{store}: {max(1, ROUNDS // 15)} kills within {open_} batches; {sent} adds sent, "
        f"{acknowledged} memories acknowledged before; 0 lost, 0 doubled, 0 half"
    )
