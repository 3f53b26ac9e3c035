"""Restarts, reloads and stops while the service is asked: nothing is lost, nobody is cut off."""

import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers.openai import OpenAIServer
from tests.service import ONCE, Service, wait_for


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_16_threads_lose_nothing_and_neither_does_a_restart(tmp_path: Path, ending: int) -> None:
    with Service(tmp_path / "data") as service:

        def add_15(thread: int) -> list[str]:
            bodies = [{"data": f"note {n} of {thread}", "user_id": f"u{n % 4}"} for n in range(15)]
            answers = [service.post("add", body) for body in bodies]
            return [answer.json()["result"] for answer in answers if answer.status_code == 201]

        with ThreadPoolExecutor(16) as pool:
            acknowledged = [id_ for ids in pool.map(add_15, range(16)) for id_ in ids]
        assert len(set(acknowledged)) == 240
        check_all_there(service, acknowledged)

        service.stop(ending)
        service.start()
        check_all_there(service, acknowledged)


def check_all_there(service: Service, ids: list[str]) -> None:
    listed = service.ask("get_all")
    assert listed["total"] == len(ids)
    assert Counter(memory["id"] for memory in listed["results"]) == Counter(ids)
    for memory_id in ids:
        rows = service.ask("history", memory_id=memory_id)["results"]
        assert [row["event"] for row in rows] == ["ADD"]


def test_a_stop_under_load_leaves_nothing_unanswered(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service:
        stopped = threading.Event()

        def add_until_the_end(client: int) -> Counter[int]:
            """What came of each."""
            outcomes: Counter[int] = Counter()
            with service.client() as http:
                for number in itertools.count():
                    said = {"data": f"{number} of {client}", "user_id": "a"}
                    try:
                        answer = http.post("/memory/add", json=said)
                    except httpx.TransportError:
                        if stopped.is_set():
                            return outcomes
                        raise
                    outcomes[answer.status_code] += 1

        with ThreadPoolExecutor(16) as pool:
            clients = [pool.submit(add_until_the_end, client) for client in range(16)]
            wait_for(lambda: ONCE.post(f"{service.url}/memory/get_all").json()["total"] > 50)
            stopped.set()
            assert service.stop() == 0
            outcomes = sum((client.result(60) for client in clients), Counter())
        assert set(outcomes) == {201}
        service.start()
        assert service.ask("get_all")["total"] == outcomes[201]


# ---- one worker after another


SLOW_S = 12  # longer than a second service waits for the folder


@pytest.fixture
def thinking(tmp_path: Path) -> Iterator[tuple[Service, Future[httpx.Response]]]:
    """A service whose LLM takes its time over an add."""
    settings = {"OPENAI_API_KEY": "sk-x", "REQUEST_READ_TIMEOUT": "2"}
    with (
        OpenAIServer() as openai,
        Service(tmp_path / "data", OPENAI_BASE_URL=f"{openai.url}/v1", **settings) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        service.ask("add", data="said before", user_id="a", infer=False)
        openai.fault("/v1/chat", delay=SLOW_S)
        adding = pool.submit(service.post, "add", {"data": "I like tea", "user_id": "a"})
        wait_for(lambda: any(asked.path == "/v1/chat/completions" for asked in openai.requests))
        yield service, adding


def check_handed_over(service: Service, adding: Future[httpx.Response]) -> None:
    assert adding.result(60).status_code == 201
    answer = ONCE.post(f"{service.url}/memory/get_all", timeout=60)  # waits for the next worker
    assert {memory["memory"] for memory in answer.json()["results"]} == {
        "said before",
        "I like tea",
    }
    assert "failed to boot" not in service.log.read_text()


def test_a_reload_waits_for_a_long_request(
    thinking: tuple[Service, Future[httpx.Response]],
) -> None:
    service, adding = thinking
    [before] = service.workers()
    service.process.send_signal(signal.SIGHUP)
    check_handed_over(service, adding)
    wait_for(lambda: before not in service.workers())
    assert len(service.workers()) == 1


def test_another_master_takes_over_when_the_first_one_ends(
    thinking: tuple[Service, Future[httpx.Response]],
) -> None:
    service, adding = thinking
    [worker] = service.workers()
    service.process.send_signal(signal.SIGUSR2)
    after = wait_for(lambda: [pid for pid in service.workers() if pid != worker])
    try:
        service.process.send_signal(signal.SIGTERM)
        check_handed_over(service, adding)
        assert service.process.wait(timeout=20) == 0
        assert ONCE.get(f"{service.url}/health").status_code == 200
    finally:
        os.kill(after[0], signal.SIGTERM)
        wait_for(lambda: not service.listens(), 20)
