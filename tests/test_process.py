"""The service as a process: settings, start, threads, restart, stop."""

import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.metrics import value
from tests.service import ROOT, Service, wait_for


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

        def add_40(thread: int) -> list[str]:
            bodies = [{"data": f"note {n} of {thread}", "user_id": f"u{n % 4}"} for n in range(40)]
            answers = [service.post("add", body) for body in bodies]
            return [answer.json()["result"] for answer in answers if answer.status_code == 201]

        with ThreadPoolExecutor(16) as pool:
            acknowledged = [id_ for ids in pool.map(add_40, range(16)) for id_ in ids]
        assert len(set(acknowledged)) == 640
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
        "import mem0.memory.telemetry as t; print(t.MEM0_TELEMETRY)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
    assert (tmp_path / "mem0").is_dir()
