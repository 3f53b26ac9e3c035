"""By which names one may ask, and how often, as settings have it: apps in this process.

They share one memory. What needs no such setting is in tests/wire/test_guards.py.
"""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fakeredis import TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from app.errors import StartupError
from app.memory import MemoryService, open_memory
from tests.service import ADMIN_KEY, free_port

ADMIN = {"X-API-Key": ADMIN_KEY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guards")


@pytest.fixture(scope="module")
def memory(folder: Path) -> Iterator[MemoryService]:
    with closing(open_memory(Settings(data_dir=folder))) as opened:
        yield opened


@pytest.fixture
def asking(memory: MemoryService, folder: Path) -> Callable[..., FlaskClient]:
    """Whoever asks a service of these settings."""

    def on(**settings: str) -> FlaskClient:
        given = Settings.from_env({"DATA_DIR": str(folder), **settings})
        return create_app(given, memory=memory).test_client()

    return on


def code(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["code"]


# ---- by which name


@pytest.fixture
def behind(asking: Callable[..., FlaskClient]) -> FlaskClient:
    """A service without a key behind a proxy, which others may reach it past."""
    return asking(PROXY_HOPS="1", TRUSTED_HOSTS="memory.example.com,memory_upstream")


@pytest.mark.parametrize(
    ("host", "forwarded"),
    [
        ("memory.example.com", "memory.example.com"),  # Caddy, Traefik
        ("127.0.0.1:8000", None),  # nginx with nothing but proxy_pass
        ("127.0.0.1:8000", "memory.example.com"),  # nginx that sets X-Forwarded-Host
        ("memory_upstream", "memory.example.com"),  # nginx with an upstream of that name
        ("memory.example.com", "evil.example, memory.example.com"),  # a proxy that adds to it
        ("localhost:8000", None),  # no proxy
    ],
)
def test_what_proxies_send_is_answered(
    behind: FlaskClient, host: str, forwarded: str | None
) -> None:
    names = {"Host": host} | ({"X-Forwarded-Host": forwarded} if forwarded else {})
    assert behind.get("/scopes", headers=names).status_code == 200


@pytest.mark.parametrize(
    ("host", "forwarded"),
    [
        ("evil.example", "localhost"),  # a rebound page that sets the header itself
        ("evil.example", "memory.example.com"),
        ("evil.example", None),
        ("localhost", "evil.example"),
        ("memory.example.com", "memory.example.com, evil.example"),
    ],
)
def test_behind_a_proxy_both_names_count(
    behind: FlaskClient, host: str, forwarded: str | None
) -> None:
    names = {"Host": host} | ({"X-Forwarded-Host": forwarded} if forwarded else {})
    assert code(behind.get("/scopes", headers=names)) == (403, "host_not_allowed")


def test_a_forwarded_host_that_is_none_is_400(behind: FlaskClient) -> None:
    names = {"Host": "localhost", "X-Forwarded-Host": "http://localhost/"}
    response = behind.get("/scopes", headers=names)
    assert code(response) == (400, "invalid_request")
    assert response.get_json()["errors"][0]["field"] == "X-Forwarded-Host"


def test_a_proxy_is_believed_where_the_operator_says_so(
    asking: Callable[..., FlaskClient],
) -> None:
    told = {"X-Forwarded-Host": "memory.example.com", "X-Forwarded-Proto": "https"}
    page = {**told, "Origin": "https://memory.example.com", **ADMIN}
    believing = asking(PROXY_HOPS="1", ADMIN_API_KEY=ADMIN_KEY)
    assert believing.post("/memory/get_all", headers=page).status_code == 200


# ---- how often


def test_more_than_the_rate_is_429(asking: Callable[..., FlaskClient]) -> None:
    client = asking(RATE_LIMIT="3/hour", ADMIN_API_KEY=ADMIN_KEY)

    def ask(key: str) -> TestResponse:
        return client.post("/memory/get_all", headers={"X-API-Key": key})

    assert [ask(ADMIN_KEY).headers["RateLimit-Remaining"] for _ in range(3)] == ["2", "1", "0"]
    response = ask(ADMIN_KEY)
    assert code(response) == (429, "too_many_requests")
    assert response.headers["RateLimit-Limit"] == "3"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert response.headers["Retry-After"] == response.headers["RateLimit-Reset"]
    # Strangers are counted by their address, also where their key is wrong.
    for _ in range(3):
        assert code(ask("x")) == (401, "unauthorized")
    assert ask("y").status_code == 429
    for _ in range(5):
        assert client.get("/health").status_code == 200


class RedisHandler(TCPFakeRequestHandler):
    """Goes on after an error, as Redis does: fakeredis's own then closes the connection, mostly
    before the client has sent what was missing."""

    def handle(self) -> None:
        while not self.server._shutdown_event.is_set() and self._is_there():
            super().handle()

    def _is_there(self) -> bool:
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False


@pytest.fixture
def redis() -> Iterator[TcpFakeServer]:
    """Speaks Redis's protocol, scripts included."""
    server = TcpFakeServer(("127.0.0.1", free_port()))
    server.RequestHandlerClass = RedisHandler
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.serve_forever)
        yield server
        server.shutdown()
        running.result()
        server.server_close()


def test_several_share_the_rate_through_a_store(
    asking: Callable[..., FlaskClient], redis: TcpFakeServer
) -> None:
    host, port = redis.server_address[:2]
    settings = {"RATE_LIMIT": "4/hour", "RATE_LIMIT_STORAGE": f"redis://{host!s}:{port}"}
    one, two = asking(**settings), asking(**settings)
    answers = [client.post("/memory/get_all").status_code for client in (one, two) * 3]
    assert answers == [200, 200, 200, 200, 429, 429]


@pytest.mark.parametrize(
    ("name", "value"),
    [("RATE_LIMIT", "often"), ("RATE_LIMIT_STORAGE", "paper://desk"), ("CORS_ORIGINS", "*")],
)
def test_a_wrong_setting_is_no_start(
    asking: Callable[..., FlaskClient], name: str, value: str
) -> None:
    with pytest.raises(StartupError, match=f"{name}: "):
        asking(**{"RATE_LIMIT": "1/second", name: value})
