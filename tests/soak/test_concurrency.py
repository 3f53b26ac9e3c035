"""Many clients at once, on few users: what each of them is told is true, then and at the end."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.model.calls import Clients
from tests.model.judge import Judge
from tests.model.looking import listing, workers
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

TIMES = 20
MANY = 300
MIXED_S = 15  # on a slow disk it is the time that ends the mixed operations
SLOW_DISK_S = 60
STORES = ["embedded", "server"]
EVENTS = {"text": "UPDATE", "metadata": "UPDATE", "delete": "DELETE"}


@pytest.fixture(scope="module", params=STORES)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with ExitStack() as stack:
        settings = store_settings(request.param, stack)
        data_dir = tmp_path_factory.mktemp("concurrency") / "data"
        yield ready(stack.enter_context(Service(data_dir, **settings)))


def store_settings(store: str, stack: ExitStack) -> dict[str, str]:
    if store == "embedded":
        return {}
    return {"QDRANT_URL": stack.enter_context(QdrantServer()).url}


def ready(service: Service) -> Service:
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
    return service


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """The answers of calls that are let go at the same moment."""
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], httpx.Response]) -> httpx.Response:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def asking(service: Service, route: str, **fields: Any) -> Callable[[], httpx.Response]:
    return lambda: service.post(route, fields)


def add_many(service: Service, user: str, number: int) -> list[str]:
    """As many memories of one user; their ids."""
    said = [{"role": "user", "content": f"note {n}"} for n in range(number)]
    added = [
        service.ask("add", messages=list(part), user_id=user, infer=False)["results"]
        for part in (said[start : start + 150] for start in range(0, number, 150))
    ]
    return [memory["id"] for memory in itertools.chain.from_iterable(added)]


def events(service: Service, memory_id: str) -> list[str]:
    return [row["event"] for row in service.ask("history", memory_id=memory_id)["results"]]


def test_16_threads_of_mixed_operations_leave_what_they_were_told(
    service: Service, user: str
) -> None:
    before = listing(service)
    shares = {"add": 40, "text": 25, "metadata": 20, "delete": 15}
    clients = Clients(service, [f"{user}-{n}" for n in range(3)], shares)

    deadline = time.monotonic() + MIXED_S

    def act_40_times(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(40):
            if time.monotonic() < deadline:
                clients.act(rng)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(act_40_times, range(16)))

    after = {id_: memory for id_, memory in listing(service).items() if id_ not in before}
    added = [id_ for op in clients.ops for id_ in op.ids]
    deleted = [op.memory_id for op in clients.ops if op.kind == "delete" and op.done]
    assert len(set(deleted)) == len(deleted)
    assert after.keys() == set(added) - set(deleted)
    for name in clients.users:
        mine = {id_ for id_, memory in after.items() if memory["user_id"] == name}
        assert service.ask("get_all", user_id=name)["total"] == len(mine)
        assert listing(service, user_id=name).keys() == mine

    judge = Judge()
    judge.settle(clients.ops, after)
    assert judge.acknowledged.keys() == shares.keys()
    told = Counter((op.memory_id, EVENTS[op.kind]) for op in clients.ops if op.done and not op.ids)
    for memory_id in added:
        rows = service.ask("history", memory_id=memory_id)["results"]
        judge.hear(memory_id, rows, after.get(memory_id))
        assert Counter(row["event"] for row in rows) == {
            "ADD": 1,
            **{
                event: told[memory_id, event] for event in EVENTS.values() if told[memory_id, event]
            },
        }
    judge.conclude()


def test_four_writers_of_four_keys_lose_none(service: Service, user: str) -> None:
    memory_id = service.ask("add", data="x", user_id=user, infer=False)["result"]
    for turn in range(TIMES):
        wanted = {f"key{writer}": turn for writer in range(4)}
        answers = at_once(
            *(
                asking(service, "update", memory_id=memory_id, metadata={key: value})
                for key, value in wanted.items()
            )
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        assert service.ask("get", memory_id=memory_id)["metadata"] == wanted
    assert events(service, memory_id) == ["ADD"] + ["UPDATE"] * 4 * TIMES


def test_of_two_deletes_one_finds_it(service: Service, user: str) -> None:
    for memory_id in add_many(service, user, TIMES):
        delete = asking(service, "delete", memory_id=memory_id)
        answers = at_once(delete, delete)
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        assert events(service, memory_id) == ["ADD", "DELETE"]
    assert service.ask("get_all", user_id=user)["results"] == []


def test_an_update_never_brings_back_what_is_deleted(service: Service, user: str) -> None:
    for memory_id in add_many(service, user, TIMES):
        changed, described, deleted = at_once(
            asking(service, "update", memory_id=memory_id, data="another text"),
            asking(service, "update", memory_id=memory_id, metadata={"a": 1}),
            asking(service, "delete", memory_id=memory_id),
        )
        assert deleted.status_code == 200
        statuses = [changed.status_code, described.status_code]
        assert set(statuses) <= {200, 404}
        assert service.post("get", {"memory_id": memory_id}).status_code == 404
        updates = ["UPDATE"] * statuses.count(200)
        assert events(service, memory_id) == ["ADD", *updates, "DELETE"]
    assert service.ask("get_all", user_id=user)["results"] == []
    assert service.ask("search", query="another text", user_id=user)["results"] == []


def wait_until_added(clients: Clients, number: int) -> None:
    """So many more than now."""
    enough = sum(len(op.ids) for op in clients.ops) + number
    wait_for(lambda: sum(len(op.ids) for op in clients.ops) >= enough, SLOW_DISK_S)


def test_reset_under_8_busy_threads(service: Service, user: str) -> None:
    processes = workers(service)
    clients = Clients(service, [f"{user}-{n}" for n in range(3)])
    stop = threading.Event()

    def act_until_told(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.is_set():
            clients.act(rng)

    gone: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        busy = [pool.submit(act_until_told, seed) for seed in range(8)]
        try:
            for _ in range(3):
                wait_until_added(clients, 20)
                gone += clients.forget()
                assert service.post("reset").status_code == 200
                assert service.http.get("/health").status_code == 200
        finally:
            stop.set()
        for thread in busy:
            thread.result()

    assert {op.status for op in clients.ops} <= {200, 201, 404}
    assert not listing(service).keys() & set(gone)
    for memory_id, memory in listing(service).items():
        rows = service.ask("history", memory_id=memory_id)["results"]
        assert (rows[0]["event"], rows[-1]["new_memory"]) == ("ADD", memory["memory"])

    gone += listing(service)
    assert service.post("reset").status_code == 200
    assert service.ask("get_all") == {"results": [], "total": 0, "next_cursor": None}
    for memory_id in gone:
        assert service.post("history", {"memory_id": memory_id}).status_code == 404
    memory_id = service.ask("add", data="I like tea", user_id=user, infer=False)["result"]
    assert [*listing(service)] == [memory_id]
    assert service.ask("search", query="tea", user_id=user)["results"][0]["id"] == memory_id
    assert service.process.poll() is None
    assert workers(service) == processes


def test_a_delete_all_is_seen_whole_or_not_at_all(service: Service, user: str) -> None:
    mine = add_many(service, user, MANY)
    stop = threading.Event()
    seen: list[tuple[int, int]] = []
    added: dict[str, list[str]] = {f"{user}-{n}": [] for n in range(3)}

    def list_until_told() -> None:
        while not stop.is_set():
            listed = service.ask("get_all", user_id=user)
            seen.append((len(listed["results"]), listed["total"]))

    def add_until_told(other: str) -> None:
        while not stop.is_set():
            added[other].append(
                service.ask("add", data=f"{len(added[other])}", user_id=other, infer=False)[
                    "result"
                ]
            )

    with ThreadPoolExecutor(5) as pool:
        busy = [pool.submit(list_until_told) for _ in range(2)]
        busy += [pool.submit(add_until_told, other) for other in added]
        try:
            wait_for(lambda: len(seen) > 3 and all(added.values()), SLOW_DISK_S)
            answer = service.ask("delete_all", user_id=user)
            listings, adds = len(seen), [len(ids) for ids in added.values()]
            # Two listings may have been under way; these have begun after it.
            wait_for(lambda: len(seen) > listings + 3, SLOW_DISK_S)
            wait_for(
                lambda: all(len(ids) > n for ids, n in zip(added.values(), adds, strict=True)),
                SLOW_DISK_S,
            )
        finally:
            stop.set()
        for thread in busy:
            thread.result()

    assert answer["deleted"] == MANY
    assert set(seen) == {(MANY, MANY), (0, 0)}
    assert seen[-1] == (0, 0)
    for other, ids in added.items():
        assert listing(service, user_id=other).keys() == set(ids)
    for memory_id in mine:
        assert events(service, memory_id) == ["ADD", "DELETE"]


@pytest.fixture(scope="module", params=STORES)
def inferring(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, OpenAIServer]]:
    with ExitStack() as stack:
        openai = stack.enter_context(OpenAIServer())
        settings = store_settings(request.param, stack)
        settings |= {"OPENAI_API_KEY": "sk-any", "OPENAI_BASE_URL": f"{openai.url}/v1"}
        data_dir = tmp_path_factory.mktemp("inferring") / "data"
        yield ready(stack.enter_context(Service(data_dir, **settings))), openai


def test_six_identical_inferring_adds_store_one_memory(
    inferring: tuple[Service, OpenAIServer], user: str
) -> None:
    service, openai = inferring
    for turn in range(5):
        who = f"{user}-{turn}"
        openai.reply = json.dumps({"memory": [{"id": "0", "text": f"Likes tea {turn}"}]})
        openai.requests.clear()
        slow = openai.fault("/v1/chat", delay=30)  # until all six have asked
        with ThreadPoolExecutor(1) as pool:
            add = asking(service, "add", data="I like tea", user_id=who)
            adding = pool.submit(at_once, *[add] * 6)
            try:
                assert openai.wait_for(6, "/v1/chat", timeout=SLOW_DISK_S)
            finally:
                slow.clear()
            answers = adding.result()
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 5}
        told = [memory for answer in answers for memory in answer.json()["results"]]
        [memory_id] = listing(service, user_id=who)
        assert [memory["id"] for memory in told] == [memory_id]
        assert {answer.json()["result"] for answer in answers} == {None, memory_id}
        assert events(service, memory_id) == ["ADD"]
