"""Two processes as on hosts of their own: each with a folder of its own, on one PostgreSQL and one
Qdrant."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

from tests.databases import PostgreSQLPlace
from tests.servers.openai import OpenAIServer
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

FACT = "Has a dog named Rex"
MANY = 12


@pytest.fixture(scope="module")
def qdrant() -> Iterator[QdrantServer]:
    with QdrantServer() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQLServer, qdrant: QdrantServer
) -> Iterator[list[Service]]:
    url = PostgreSQLPlace(postgresql).url
    with ExitStack() as stack:
        openai = stack.enter_context(OpenAIServer(dimensions=64))
        openai.reply = json.dumps({"memory": [{"text": FACT}]})
        settings = {
            "DATABASE_URL": url,
            "QDRANT_URL": qdrant.url,
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"{openai.url}/v1",
        }
        folder = tmp_path_factory.mktemp("fleet")
        services = [Service(folder / f"data-{number}", **settings) for number in range(2)]
        for service in services:
            stack.enter_context(service)
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)  # noqa: B023
        yield services


def at_once(fleet: list[Service], ask: Callable[[Service, int], Any]) -> list[Any]:
    """The answers of many requests, in turn to each."""
    with ThreadPoolExecutor(MANY) as pool:
        return [*pool.map(lambda n: ask(fleet[n % len(fleet)], n), range(MANY))]


def test_the_same_fact_that_is_found_many_times_at_once_is_stored_once(
    fleet: list[Service], qdrant: QdrantServer, user: str
) -> None:
    # So that all look for the fact before the first has stored it.
    slow = qdrant.fault("/collections/memories/points", method="PUT", delay=0.5)
    at_once(fleet, lambda service, _: service.ask("add", data="My dog is Rex", user_id=user))
    slow.clear()
    [memory] = fleet[0].ask("get_all", user_id=user)["results"]
    assert memory["memory"] == FACT


def test_of_changes_of_one_memory_at_once_none_is_lost(fleet: list[Service], user: str) -> None:
    id_ = fleet[0].ask("add", data="tea", user_id=user, infer=False)["result"]
    at_once(
        fleet,
        lambda service, n: service.ask(
            "update", memory_id=id_, data=f"text {n}", metadata={f"key{n}": n}
        ),
    )
    memory = fleet[1].ask("get", memory_id=id_)
    assert memory["metadata"] == {f"key{n}": n for n in range(MANY)}
    rows = fleet[0].ask("history", memory_id=id_)["results"]
    assert [row["event"] for row in rows] == ["ADD", *["UPDATE"] * MANY]
    assert all(old["new_memory"] == new["old_memory"] for old, new in pairwise(rows))
    assert rows[-1]["new_memory"] == memory["memory"]


def test_a_key_that_is_sent_to_each_at_once_stores_once(fleet: list[Service], user: str) -> None:
    body = {"data": "tea", "user_id": user, "infer": False}
    header = {"Idempotency-Key": user}
    answers = at_once(fleet, lambda service, _: service.post("add", body, headers=header).json())
    assert len({answer["result"] for answer in answers}) == 1
    assert fleet[1].ask("get_all", user_id=user)["total"] == 1


def test_of_adds_beside_a_deletion_of_their_scope_each_has_its_whole_history(
    fleet: list[Service], user: str
) -> None:
    def ask(service: Service, number: int) -> Any:
        if number in (5, 8):
            return service.ask("delete_all", user_id=user)["deleted"]
        return service.ask("add", data=f"text {number}", user_id=user, infer=False)["result"]

    answers = at_once(fleet, ask)
    added = [answer for answer in answers if isinstance(answer, str)]
    there = {memory["id"] for memory in fleet[0].ask("get_all", user_id=user)["results"]}
    told = {
        id_: [row["event"] for row in fleet[1].ask("history", memory_id=id_)["results"]]
        for id_ in added
    }
    assert told == {id_: ["ADD"] if id_ in there else ["ADD", "DELETE"] for id_ in added}
    assert len(added) - len(there) == sum(a for a in answers if isinstance(a, int))
