"""Settings as they stand in `.env` and in the environment."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.config import Settings
from app.config.notices import notices
from app.config.source import Source
from app.errors import StartupError
from tests.service import ROOT

TEXT = '# 设置\nOPENAI_API_KEY="sk-x"\r\nLLM_MODEL=qwen3:8b\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_dotenv_file_is_read_as_windows_writes_it(folder: Path, encoding: str) -> None:
    text = "\ufeff" + TEXT if encoding == "utf-16-be" else TEXT
    (folder / ".env").write_bytes(text.encode(encoding))
    assert Source.read().dotenv == {"OPENAI_API_KEY": "sk-x", "LLM_MODEL": "qwen3:8b"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("A=1\nCUSTOM_INSTRUCTIONS=été\n".encode("latin-1"), "UTF-8, see its line 2"),
        (TEXT.encode("gbk"), "UTF-8, see its line 1"),
        ("LOG_LEVEL=INFO\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_one_that_cannot_be_read_is_told_in_one_line(
    folder: Path, content: bytes, why: str
) -> None:
    (folder / ".env").write_bytes(content)
    with pytest.raises(StartupError, match=rf"^\.env is not UTF-8.*{why[-6:]}[^\n]*$"):
        Settings.from_env()


def test_lines_that_set_nothing_are_told_by_their_numbers(folder: Path) -> None:
    text = "\n\nPORT: 8123\n# x\nLOG_LEVEL=DEBUG\n\n// y\nset THREADS=5\nHOST＝::\nPORT\nA='b\n"
    (folder / ".env").write_text(text, "utf-8")
    source = Source.read()
    assert source.unread == (3, 7, 8, 9, 10, 11)
    said = [*notices(Settings.from_env(), source)]
    assert "line 3 of .env sets nothing: it is not of the form NAME=value" in said


def test_a_folder_of_that_name_is_somebody_elses(folder: Path) -> None:
    (folder / ".env").mkdir()
    assert Source.read().dotenv == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"INFO"', "INFO"),
        ("'INFO' ", "INFO"),
        (" info\n", "info"),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ("it's", "it's"),
        ("", ""),
    ],
)
def test_quotes_and_blanks_around_a_value_are_none_of_it(written: str, value: str) -> None:
    assert Source({"NAME": written}).value("NAME") == value


@pytest.mark.parametrize("written", ["query: ", '"query: "'])
def test_the_blank_at_the_end_of_a_prefix_counts(written: str) -> None:
    assert Settings.from_env({"EMBEDDER_QUERY_PREFIX": written}).embedder_query_prefix == "query: "


@pytest.mark.parametrize("yes", ["true", "True", "ON", "yes", "1", " true "])
def test_choices_are_read_in_any_case(yes: str) -> None:
    given = {"LOG_LEVEL": "Info", "LOG_FORMAT": "JSON", "EXTRACTION": "Short", "METRICS_OPEN": yes}
    given["DIALECTS"] = "MCP, Oss"
    providers = {"LLM_PROVIDER": "Ollama", "EMBEDDER_PROVIDER": "LOCAL"}
    settings = Settings.from_env({**given, **providers})
    assert (settings.log_level, settings.log_format, settings.extraction) == (
        *("INFO", "json", "short"),
    )
    assert (settings.llm_provider, settings.embedder_provider) == ("ollama", "local")
    assert settings.metrics_open
    assert settings.dialects == ("mcp", "oss")


KEYS = ["ADMIN_API_KEY", "QDRANT_API_KEY", "OPENAI_API_KEY", "LLM_API_KEY", "EMBEDDER_API_KEY"]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    "key", ["秘密" * 20, "a blank in it" * 5, "“in-quotes-of-a-word-processor”"]
)
def test_a_key_that_no_header_takes_is_told_and_not_shown(name: str, key: str) -> None:
    with pytest.raises(StartupError, match=f"{name}: must be visible ASCII") as raised:
        Settings.from_env({name: key})
    assert key not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "address"), [("::", "::"), ("[::1]", "::1"), ("10.0.0.1 ", "10.0.0.1"), ("a-b", "a-b")]
)
def test_a_host_is_a_name_or_an_address(host: str, address: str) -> None:
    assert Settings.from_env({"HOST": host}).host == address


@pytest.mark.parametrize("host", ["http://0.0.0.0", "0.0.0.0:8000", "localhost/x", "a b"])
@pytest.mark.parametrize("name", ["HOST", "QDRANT_HOST"])
def test_a_host_with_more_than_that_is_told(name: str, host: str) -> None:
    with pytest.raises(StartupError, match=f"{name}: must be a name or an address alone"):
        Settings.from_env({name: host})


def test_qdrant_may_have_an_ipv6_address() -> None:
    assert Settings.from_env({"QDRANT_HOST": "::1"}).qdrant_addresses == ("http://[::1]:6333",)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("https://Chat.Example.com/", "https://chat.example.com"),
        ("https://chat.example.com:443", "https://chat.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("app://obsidian.md", "app://obsidian.md"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins_are_those_that_browsers_say(given: str, allowed: str) -> None:
    assert Settings.from_env({"CORS_ORIGINS": given}).cors_origins == (allowed,)


@pytest.mark.parametrize("given", ["null", "*", "chat.example.com", "https://a/b", "https://*.a"])
def test_what_is_no_origin_is_told(given: str) -> None:
    with pytest.raises(StartupError, match=r"CORS_ORIGINS: .* is no origin"):
        Settings.from_env({"CORS_ORIGINS": given})


def test_all_contradictions_are_told_at_once() -> None:
    wrong = {
        "WEB_CONCURRENCY": "2",
        "LLM_CONCURRENCY": "256",
        "LLM_PROVIDER": "openai",
        "ADMIN_API_KEY": "x" * 32,
        "AUTH_DISABLED": "true",
    }
    with pytest.raises(StartupError) as raised:
        Settings.from_env(wrong)
    for name in ("WEB_CONCURRENCY", "LLM_CONCURRENCY", "OPENAI_API_KEY", "AUTH_DISABLED"):
        assert f"\n  {name}: " in str(raised.value)


def test_the_log_shows_no_secret_of_an_address() -> None:
    shown = Settings.from_env(
        {
            "LLM_BASE_URL": "https://someone:pass-word@a/v1?key=secret-1",
            "LLM_API_KEY": "secret-2",
            "QDRANT_URL": "http://q?token=secret-3",
        }
    ).describe()
    assert "LLM_BASE_URL=https://***@a/v1?***" in shown
    assert "secret" not in shown
    assert "pass-word" not in shown


@pytest.mark.parametrize("which", ["", "history.db"])
def test_a_data_dir_of_another_user_is_told_with_both(which: str) -> None:
    """As one that root made, on a bind mount or by a run as root."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "data"
        folder.mkdir()
        (folder / "history.db").touch()
        (folder / "lost+found").mkdir(mode=0)
        folder.chmod(0o777 if which else 0o555)
        (folder / which).chmod(stat.S_IMODE((folder / which).stat().st_mode) & 0o555)
        code = (
            "import os, sys; from app.config import Settings; from pathlib import Path;"
            "os.geteuid() or os.setuid(10001);"
            "Settings(data_dir=Path(sys.argv[1])).make_data_dir()"
        )
        command = [sys.executable, "-c", code, folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode
    who = os.geteuid() or 10001
    assert f"DATA_DIR: {folder / which} cannot be written by user {who}" in done.stderr
    assert f"chown -R {who} {folder}" in done.stderr
