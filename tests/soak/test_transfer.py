"""Killed with SIGKILL in the middle of imports: sent again, nothing is lost and nothing doubled.

TEST_SEED repeats the random choices of a run.
"""

import contextlib
import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.filling import STORES
from tests.model.looking import histories, kill, listing, settle
from tests.servers.qdrant import QdrantServer
from tests.service import Service
from tests.soak.rounds import ROUNDS
from tests.transfer import NDJSON, memory, whole

MANY = 1000  # an import of as many takes about a second
SECONDS_UNTIL_KILLED = (0.05, 1.0)
IMPORTS = max(2, ROUNDS // 40)  # on each store


class Import:
    """A file of one user, and what the service should have of it."""

    def __init__(self, user: str) -> None:
        self.user = user
        lines = [memory(number, user) for number in range(MANY)]
        self.wanted = {line["id"]: line for line in lines}
        self.body = whole(lines)

    def send(self, service: Service) -> dict[str, Any]:
        with service.client() as client:
            response = client.post("/import", content=self.body, headers=NDJSON, timeout=60)
        assert response.status_code == 200, response.text
        report: dict[str, Any] = response.json()
        return report

    def send_and_kill(self, service: Service, rng: random.Random) -> None:
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.send, service)
            threading.Event().wait(rng.uniform(*SECONDS_UNTIL_KILLED))
            kill(service)
            with contextlib.suppress(httpx.TransportError):
                sending.result()

    def check(self, service: Service) -> int:
        """Whatever is there is there as it was sent, with its history, once; how many those are."""
        there = listing(service, user_id=self.user)
        rows = histories(service.data_dir / "history.db")
        mine = rows.keys() & self.wanted.keys()
        assert mine == there.keys()
        for id_ in there:
            assert there[id_]["memory"] == self.wanted[id_]["memory"]
            assert [row["event"] for row in rows[id_]] == ["ADD", "UPDATE"]
        return len(there)

    def export(self, service: Service) -> bytes:
        asked = {"user_id": self.user, "vectors": True, "history": "all"}
        response = service.http.post("/export", json=asked)
        assert response.status_code == 200
        return response.content


@pytest.mark.parametrize("store", STORES)
def test_an_import_that_is_killed_is_whole_when_it_is_sent_again(
    tmp_path: Path, store: str
) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    rng = random.Random(seed)
    cut = 0
    with contextlib.ExitStack() as stack:
        qdrant = stack.enter_context(QdrantServer()) if store == "server" else None
        settings = {"QDRANT_URL": qdrant.url} if qdrant else {}
        service = stack.enter_context(Service(tmp_path / "data", **settings))
        for number in range(IMPORTS):
            one = Import(f"user-{number}")
            for _ in range(rng.randint(1, 2)):
                one.send_and_kill(service, rng)
                service.reconnect()
                service.start()
                if rng.random() < 0.5:  # else it is sent again while that is being settled
                    settle(service)
                    one.check(service)
            report = one.send(service)
            assert (report["failed"], report["whole"]) == ([], True)
            assert report["unchanged"] + report["imported"] == MANY
            cut += 0 < report["unchanged"] < MANY
            settle(service)
            assert one.check(service) == MANY
            before = one.export(service)
            assert one.send(service)["unchanged"] == MANY
            assert one.export(service) == before
            assert json.loads(before.splitlines()[-1])["events"] == 2 * MANY
    print(f"{store}: {cut} of {IMPORTS} imports were cut off in their middle, TEST_SEED={seed}")
