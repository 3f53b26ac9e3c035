"""The service as a process: settings, start, stop.

Restarts and stops under load, reloads: tests/soak/test_restarts.py.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a .env of which the environment takes the place in part."""
    folder = tmp_path_factory.mktemp("running")
    (folder / ".env").write_text("LOG_LEVEL=DEBUG\nPORT=1\n")
    with Service(folder / "data") as service:
        yield service


def test_settings_come_from_the_dotenv_file_too(running: Service) -> None:
    assert "LOG_LEVEL=DEBUG" in running.log.read_text()


@pytest.mark.soak
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


@pytest.mark.soak
def test_a_second_service_on_the_same_folder_is_told_soon(running: Service, tmp_path: Path) -> None:
    second = Service(tmp_path / "data", DATA_DIR=str(running.data_dir))
    assert second.launch().wait(timeout=30) == 3
    assert "run one service on one DATA_DIR" in second.log.read_text()
    assert running.http.get("/health").status_code == 200


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
