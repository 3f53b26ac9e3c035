"""The service as a process: settings, start, threads, restart, stop."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.metrics import value
from tests.servers.openai import OpenAIServer
from tests.service import ONCE, ROOT, Service, wait_for


def test_wrong_settings_end_it_at_once_with_every_name(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", PORT="http", THREADS="0", LOG_LEVEL="loud")
    assert service.launch().wait(timeout=20) != 0
    log = service.log.read_text()
    assert log.startswith("Wrong settings:")
    assert all(name in log for name in ("PORT", "THREADS", "LOG_LEVEL"))
    assert "Traceback" not in log


def test_a_folder_that_cannot_be_made_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    service = Service(tmp_path / "data", DATA_DIR=str(tmp_path / "file" / "data"))
    assert service.launch().wait(timeout=20) != 0
    assert "DATA_DIR cannot be made" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


def test_settings_come_from_the_dotenv_file_too(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\nPORT=1\n")
    with service:
        assert "LOG_LEVEL=DEBUG" in service.log.read_text()


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


def test_one_who_is_still_answered_is_not_cut_off_by_a_stop(tmp_path: Path) -> None:
    long = [{"role": "user", "content": f"note {n}"} for n in range(256)]
    with Service(tmp_path / "data") as service, ThreadPoolExecutor(1) as pool:
        adding = pool.submit(service.post, "add", {"messages": long, "user_id": "a"})
        wait_for(lambda: value(service, "http_requests_in_flight") == 2)  # the scrape's own, and it
        service.process.send_signal(signal.SIGTERM)
        assert not adding.done()
        assert adding.result().status_code == 201
        assert service.process.wait(timeout=40) == 0
        service.start()
        assert service.ask("get_all")["total"] == 256


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


def test_a_second_service_on_the_same_folder_is_told_soon(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as first:
        second = Service(tmp_path / "data")
        assert second.launch().wait(timeout=30) == 3
        assert "run one service on one DATA_DIR" in second.log.read_text()
        assert first.http.get("/health").status_code == 200


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


def test_every_setting_is_explained_in_the_template() -> None:
    from app.config import Settings

    template = (ROOT / "env").read_text()
    named = {
        line.lstrip("# ").split("=")[0].lower() for line in template.splitlines() if "=" in line
    }
    assert set(Settings.model_fields) <= named


def test_no_dependency_has_its_telemetry_on(tmp_path: Path) -> None:
    code = (
        "from app import create_app; from app.config import Settings; from pathlib import Path;"
        f"create_app(Settings(data_dir=Path({str(tmp_path)!r})), memory=object());"
        "import mem0.memory.telemetry as t, os; print(t.MEM0_TELEMETRY);"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "1"]
    assert (tmp_path / "mem0").is_dir()
