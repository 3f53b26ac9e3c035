"""Two processes as on hosts of their own: each with a folder of its own, on one PostgreSQL and one
Qdrant."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.databases import PostgreSQLPlace
from tests.metrics import value
from tests.servers.openai import OpenAIServer
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for
from tests.transfer import NDJSON, memory, whole

pytestmark = pytest.mark.soak

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
            "QDRANT_TIMEOUT": "30",
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


class TestTotals:
    """Are those of the database, which every process keeps; Qdrant is not asked."""

    @pytest.fixture
    def counted(self, fleet: list[Service], qdrant: QdrantServer) -> Callable[[str], Any]:
        """By each process: how many memories a user has, with the expired and without."""
        wait_for(lambda: "detail" not in ready(fleet[0])["history"], 30)
        qdrant.requests.clear()

        def of(user: str) -> Any:
            totals = [
                tuple(
                    service.ask("get_all", user_id=user, limit=1, show_expired=show)["total"]
                    for show in (True, False)
                )
                for service in fleet
            ]
            users = [service.http.get("/scopes").json()["users"] for service in fleet]
            shown = [{one["id"]: one["memories"] for one in found}.get(user, 0) for found in users]
            entities = fleet[0].http.get("/v1/entities/").json()["results"]
            every = {one["name"]: one["total_memories"] for one in entities}.get(user, 0)
            assert [(every, number) for number in shown] == totals
            assert totals[0] == totals[1]
            return totals[0]

        return of

    def test_follow_what_any_process_writes(
        self, fleet: list[Service], user: str, counted: Callable[[str], Any], qdrant: QdrantServer
    ) -> None:
        first, second = fleet
        ids = [first.ask("add", data=f"{n}", user_id=user, infer=False)["result"] for n in range(3)]
        assert counted(user) == (3, 3)
        assert value(second, "memories") >= 3
        second.ask("update", memory_id=ids[0], expiration_date="2020-02-02")
        assert counted(user) == (3, 2)
        first.ask("update", memory_id=ids[0], data="other words")
        second.ask("update", memory_id=ids[1], metadata={"kind": "drink"})
        assert counted(user) == (3, 2)
        first.ask("update", memory_id=ids[0], expiration_date=None)
        second.ask("delete", memory_id=ids[1])
        assert counted(user) == (2, 2)
        lines = whole([memory(number, user) for number in range(3)])
        imported = first.http.post("/import", content=lines, headers=NDJSON)
        assert imported.json()["imported"] == 3, imported.text
        assert counted(user) == (5, 5)
        second.ask("delete_all", user_id=user)
        assert counted(user) == (0, 0)
        paths = {request.path.rsplit("/", 1)[-1] for request in qdrant.requests}
        assert not paths & {"count", "facet"}

    def test_of_metadata_are_those_of_the_store(
        self, fleet: list[Service], user: str, qdrant: QdrantServer
    ) -> None:
        for number in range(3):
            metadata = {"odd": number % 2}
            fleet[0].ask("add", data="tea", user_id=user, metadata=metadata, infer=False)
        even = {"user_id": user, "filters": {"odd": 0}, "limit": 1}
        assert fleet[1].ask("get_all", **even)["total"] == 2
        assert qdrant.requests[-1].path.endswith("/count")

    def test_of_nothing_are_none(
        self, fleet: list[Service], user: str, counted: Callable[[str], Any]
    ) -> None:
        fleet[0].ask("add", data="tea", user_id=user, infer=False)
        assert fleet[1].ask("reset")["deleted"] >= 1
        assert counted(user) == (0, 0)
        assert fleet[1].http.get("/scopes").json()["users"] == []
        wait_for(lambda: value(fleet[0], "memories") == 0, 30)


def ready(service: Service) -> Any:
    return service.http.get("/ready").json()["checks"]


DELETE = "/collections/memories/points/delete"
READERS: dict[str, Callable[[Service, str], Any]] = {
    "get_all": lambda service, user: service.ask("get_all", user_id=user)["results"],
    "page": lambda service, user: service.ask("get_all", user_id=user, limit=100)["results"],
    "search": lambda service, user: service.ask("search", query="x", user_id=user, limit=MANY)[
        "results"
    ],
    "export": lambda service, user: service.http.post(
        "/export", json={"user_id": user}
    ).text.splitlines()[1:-1],
    "mem0": lambda service, user: service.http.get(
        "/v1/memories/", params={"user_id": user}
    ).json(),
}


@pytest.mark.parametrize("refused", [None, 403], ids=["that is done", "that is refused"])
@pytest.mark.parametrize("reader", READERS.values(), ids=[*READERS])
def test_amid_a_deletion_who_reads_at_another_process_sees_all_of_it_or_nothing(
    fleet: list[Service],
    qdrant: QdrantServer,
    user: str,
    reader: Callable[[Service, str], Any],
    refused: int | None,
) -> None:
    adds = [{"data": f"x {n}", "user_id": user, "infer": False} for n in range(MANY)]
    stored = fleet[0].http.post("/batch", json={"adds": adds}).json()["results"]
    held = qdrant.fault(DELETE, delay=60, status=refused, times=1)
    with ThreadPoolExecutor() as pool:
        asked = qdrant.count(DELETE)
        deleting = pool.submit(fleet[0].post, "delete_all", {"user_id": user})
        assert qdrant.wait_for(asked + 1, DELETE, 30)
        if not refused:
            # As Qdrant does amid one call: it deletes 512 at a time, and others read in between.
            ids = [one["result"] for one in stored[: MANY // 2]]
            httpx.post(f"{qdrant.url}{DELETE}", json={"points": ids}).raise_for_status()
        before = reads(qdrant)
        reading = pool.submit(reader, fleet[1], user)
        wait_for(lambda: reads(qdrant) > before, 30)
        held.clear()
        assert deleting.result().status_code == (503 if refused else 200)
        assert len(reading.result()) == (MANY if refused else 0)


def reads(qdrant: QdrantServer) -> int:
    """How often memories were read by their ids, which were listed before."""
    asked = [request for request in [*qdrant.requests] if request.method == "POST"]
    return sum(request.path == "/collections/memories/points" for request in asked)
