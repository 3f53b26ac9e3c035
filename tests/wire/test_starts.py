"""Starts as people set them up: each works, or says in a line which setting is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ollama import OllamaServer
from tests.service import ROOT, Service, wait_for

SOCKS4 = {"ALL_PROXY": "socks4://127.0.0.1:1080"}
WRONG: dict[str, tuple[dict[str, str], str]] = {
    "a host that is none": ({"HOST": "nowhere.invalid"}, "HOST: nowhere.invalid is no address"),
    "Ollama by a proxy of another kind": (
        {"OLLAMA_BASE_URL": "http://192.0.2.1", **SOCKS4},
        "ALL_PROXY: is no proxy that can be used",
    ),
    "an embedder that is none": ({"EMBEDDER_MODEL": "bge-m3"}, "EMBEDDER_MODEL: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_start_that_fails_names_the_setting_and_shows_no_traceback(
    tmp_path: Path, name: str
) -> None:
    settings, line = WRONG[name]
    service = Service(tmp_path / "data", **settings)
    assert service.launch().wait(timeout=30) != 0
    log = service.log.read_text()
    assert line in log
    assert "Traceback" not in log


def test_a_dotenv_file_in_another_encoding_ends_it_at_once(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    (tmp_path / ".env").write_bytes("# été\n".encode("latin-1"))
    assert service.launch().wait(timeout=30) != 0
    assert service.log.read_text() == ".env is not UTF-8, see its line 1: save it as UTF-8\n"


@pytest.mark.parametrize("command", ["reembed", "mint_key"])
def test_the_commands_fail_in_the_same_words(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"app.cli.{command}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": "localhost:8080", "LOG_LEVEL": "loud"},
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert done.stderr.startswith("Wrong settings:\n")
    assert "OPENAI_BASE_URL: must begin with http" in done.stderr
    assert "LOG_LEVEL: " in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_windows_powershell_and_of_env_files_are_read_and_told(tmp_path: Path) -> None:
    """UTF-16 with a BOM; quotes that docker run --env-file leaves; names of other programs."""
    service = Service(tmp_path / "data", LOG_LEVEL='"info"', HOST="localhost")
    text = "LOG_FORMAT=Json\nOLLAMA_HOST=http://127.0.0.1:11434\nLOG_LEVEL=DEBUG\n"
    (tmp_path / ".env").write_bytes(text.encode("utf-16"))
    with service:
        log = service.log.read_text()
    assert "LOG_LEVEL=INFO LOG_FORMAT=json" in log
    assert log.count("OLLAMA_HOST is no setting of this service") == 1
    assert log.count("LOG_LEVEL of .env is passed over") == 1


def embedder_of(service: Service) -> Any:
    return service.http.get("/ready").json()["checks"]["embedder"]["status"]


def test_ollama_behind_a_key_and_at_two_addresses(tmp_path: Path) -> None:
    with OllamaServer(api_key="bearer-of-chat") as chat, OllamaServer() as vectors:
        chat.reply = '{"memory": [{"text": "Likes tea"}]}'
        settings = {
            "LLM_PROVIDER": "ollama",
            "LLM_BASE_URL": chat.url,
            "LLM_API_KEY": "bearer-of-chat",
            "EMBEDDER_PROVIDER": "ollama",
            "EMBEDDER_BASE_URL": f"{vectors.url}/v1/",
            "LLM_MODEL": "llama3.2",
            "OLLAMA_API_KEY": "of-somebody-else",
            "OLLAMA_HOST": "of:its:own",
            "SSL_CERT_FILE": "/nowhere.pem",
        }
        with Service(tmp_path / "data", **settings) as service:
            wait_for(lambda: embedder_of(service) == "ok")
            assert service.ask("add", data="I like tea", user_id="a")["result"]
    assert not chat.count("/api/embed")
    assert not vectors.count("/api/chat")
    assert all("authorization" not in request.headers for request in vectors.requests)


@pytest.mark.parametrize(
    ("workers", "said"),
    [("auto", "WEB_CONCURRENCY: must be a whole number"), ("", "gunicorn: not found")],
)
def test_make_run_looks_first_at_what_gunicorn_would_stumble_over(workers: str, said: str) -> None:
    command = ["make", "-s", "-o", "setup", "run", "VENV=/nowhere"]  # installs and starts nothing
    environ = {"PATH": os.environ["PATH"], "WEB_CONCURRENCY": workers, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode
    assert said in done.stderr
