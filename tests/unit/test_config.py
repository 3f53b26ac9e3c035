"""Settings from an environ, all mistakes at once."""

import socket
from pathlib import Path

import pytest

from app.config import Settings
from app.config.listening import listening_address
from app.errors import StartupError


def test_nothing_set_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8000, Path("data"))


def test_variables_are_cast(tmp_path: Path) -> None:
    settings = Settings.from_env({"PORT": "9000", "DATA_DIR": str(tmp_path), "OTHER": "x"})
    assert (settings.port, settings.data_dir) == (9000, tmp_path)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_env({"PORT": ""}).port == 8000


def test_every_mistake_is_named(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("")
    wrong = {"PORT": "70000", "THREADS": "many", "LOG_LEVEL": "loud", "DATA_DIR": str(file)}
    with pytest.raises(StartupError) as raised:
        Settings.from_env(wrong)
    assert all(f"{name}: " in str(raised.value) for name in wrong)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"DATABASE_URL": "postgresql://h/d"}, "DATABASE_URL: is for a service on a Qdrant server"),
        ({"DATABASE_URL": "mysql://u:secret@h/d"}, "DATABASE_URL: must begin with postgresql://"),
    ],
)
def test_a_database_that_cannot_be_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(StartupError, match=words) as raised:
        Settings.from_env(given)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgres+pg8000"]
)
def test_a_database_is_read_as_other_programs_name_it(scheme: str) -> None:
    given = {"DATABASE_URL": f"{scheme}://u:p@h/d?a=b", "QDRANT_URL": "http://127.0.0.1:6333"}
    url = Settings.from_env(given).database_url
    assert url
    assert url.get_secret_value() == "postgresql://u:p@h/d?a=b"


def test_a_database_is_told_without_its_password() -> None:
    given = {"DATABASE_URL": "postgres://u:secret@h/d", "QDRANT_URL": "http://127.0.0.1:6333"}
    assert "secret" not in Settings.from_env(given).describe()


def test_requests_at_work_may_finish_as_long_as_the_longest_may_take() -> None:
    assert Settings.from_env({}).graceful_timeout == 30
    slow = {"OPENAI_API_KEY": "sk-x", "LLM_TIMEOUT": "99.5", "EMBEDDER_TIMEOUT": "20"}
    assert Settings.from_env(slow).graceful_timeout == 150
    server = slow | {"QDRANT_URL": "http://127.0.0.1:6333", "QDRANT_TIMEOUT": "7"}
    assert Settings.from_env(server).graceful_timeout == 164


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("LOG_LEVEL", "warn", "WARNING"),
        ("LOG_LEVEL", "Trace", "DEBUG"),
        ("LOG_LEVEL", "critical", "ERROR"),
        ("CORS_ORIGINS", '["https://a.com", "https://b.com"]', ("https://a.com", "https://b.com")),
        ("CORS_ORIGINS", "https://a.com; https://b.com", ("https://a.com", "https://b.com")),
        ("TRUSTED_HOSTS", "https://Memory.example.com:8443/", ("memory.example.com",)),
        ("TRUSTED_HOSTS", "[fe80::1], a.lan", ("[fe80::1]", "a.lan")),
        ("QDRANT_URL", "http://qdrant:6333/dashboard#/collections", ("http://qdrant:6333",)),
    ],
)
def test_a_value_is_read_as_other_programs_have_it(name: str, given: str, read: object) -> None:
    assert getattr(Settings.from_env({name: given}), name.lower()) == read


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("TRUSTED_HOSTS", "*", "a star names none"),
        ("TRUSTED_HOSTS", "*.example.com", "a star names none"),
        ("LLM_BASE_URL", "http://a/v1,", "comma"),
        ("LLM_BASE_URL", "http://a\\v1", "backslash"),
        ("LLM_API_KEY", "Bearer sk-x", "without Bearer"),
        ("LLM_EXTRA_BODY", '{"a": NaN}', "JSON object"),
    ],
)
def test_a_value_that_would_do_nothing_is_refused(name: str, given: str, says: str) -> None:
    with pytest.raises(StartupError, match=f"{name}: .*{says}"):
        Settings.from_env({name: given})


def test_a_port_that_is_in_use_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        address = listening_address(Settings.from_env({"PORT": str(port)}))
    assert address == f"127.0.0.1:{port}"
    assert caplog.messages == [f"PORT: {port} is in use by another program; name another port"]
