"""Foreign pages, unknown names, how often one may ask.

What settings change of that: tests/unit/api/test_guards.py; slow ones: test_slow_clients.py.
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.openai import OpenAIServer
from tests.service import ADMIN_KEY, Service, free_port

ADMIN = {"X-API-Key": ADMIN_KEY}
CHAT = "https://chat.example.com"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a key that some others may reach."""
    data_dir = tmp_path_factory.mktemp("named") / "data"
    settings = {"TRUSTED_HOSTS": "mem0,host.docker.internal", "CORS_ORIGINS": CHAT}
    with Service(data_dir, **settings) as running:
        running.ask("add", data="tea", user_id="a")
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for a key."""
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with Service(data_dir, ADMIN_API_KEY=ADMIN_KEY, CORS_ORIGINS=CHAT) as running:
        yield running


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


REFUSED = (403, "origin_not_allowed")


@pytest.mark.parametrize("content", [b"", b"{}"])
@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": f"{CHAT}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},  # a form that is sent
    ],
)
def test_a_foreign_page_cannot_reset(named: Service, content: bytes, page: dict[str, str]) -> None:
    response = named.post("reset", content=content, headers=page)
    assert code(response) == REFUSED
    assert "Access-Control-Allow-Origin" not in response.headers
    assert named.ask("get_all", limit=1)["total"] == 1


def test_a_foreign_page_is_refused_with_a_key_too(locked: Service) -> None:
    for page in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert code(locked.post("reset", headers={**ADMIN, **page})) == REFUSED
    any_name = {**ADMIN, "Host": "any.name.at.all"}
    assert locked.post("get_all", headers=any_name).status_code == 200


def test_the_service_s_own_page_may_ask(named: Service) -> None:
    for origin in (named.url, f"http://localhost:{named.port}"):
        host = origin.removeprefix("http://")
        own = {"Origin": origin, "Host": host, "Sec-Fetch-Site": "same-origin"}
        assert named.post("get_all", headers=own).status_code == 200


def test_its_page_is_known_behind_tls_by_what_only_a_browser_can_say(named: Service) -> None:
    page = {"Origin": "https://mem0", "Sec-Fetch-Site": "same-origin", "Host": "mem0"}
    assert named.post("get_all", headers=page).status_code == 200
    through = {"Host": f"127.0.0.1:{named.port}", "X-Forwarded-Proto": "https"}  # nginx
    assert named.post("get_all", headers={**page, **through}).status_code == 200
    for site in ("same-site", "none"):
        assert code(named.post("get_all", headers={**page, "Sec-Fetch-Site": site})) == REFUSED


def test_a_page_that_is_rebound_to_here_says_the_same_and_is_refused(named: Service) -> None:
    host = "rebound.evil.example"
    page = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "Host": host}
    assert code(named.post("reset", headers=page)) == (403, "host_not_allowed")


def test_what_a_proxy_passed_on_is_refused_with_what_to_set(named: Service) -> None:
    page = {"Origin": "https://mem0", "Host": "mem0", "X-Forwarded-Proto": "https"}
    response = named.post("get_all", headers=page)
    assert code(response) == REFUSED
    assert "PROXY_HOPS" in response.json()["detail"]


def test_somebody_may_follow_a_link_to_here(named: Service) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    there = named.http.get("/openapi.yaml", headers={**link, "Sec-Fetch-Dest": "document"})
    assert there.status_code == 200
    framed = named.http.get("/openapi.yaml", headers={**link, "Sec-Fetch-Dest": "iframe"})
    assert code(framed) == REFUSED


def test_a_site_of_cors_origins_may_ask(named: Service) -> None:
    page = {"Origin": CHAT, "Sec-Fetch-Site": "cross-site"}
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    preflight = named.http.options("/memory/add", headers={**page, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == CHAT
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert {"content-type", "authorization"} <= set(allowed.split(", "))
    response = named.post("get_all", headers=page)
    assert response.headers["Access-Control-Allow-Origin"] == CHAT
    assert response.json()["results"]


def test_its_preflight_needs_no_key(locked: Service) -> None:
    page = {"Origin": CHAT, "Access-Control-Request-Method": "POST"}
    assert locked.http.options("/memory/add", headers=page).status_code == 200
    refused = locked.post("get_all", headers={"Origin": CHAT})
    assert code(refused) == (401, "unauthorized")
    assert refused.headers["Access-Control-Allow-Origin"] == CHAT  # the page may read why


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost:80", "127.0.0.1", "127.1.2.3:5", "[::1]:8000", "mem0:8000"]
)
def test_these_names_are_answered(named: Service, host: str) -> None:
    assert named.post("get_all", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["rebound.evil.example", "192.168.1.5:8000", "mem0.evil.example", "localhost.evil"]
)
def test_another_name_is_refused_and_says_what_to_set(named: Service, host: str) -> None:
    response = named.post("get_all", headers={"Host": host})
    assert code(response) == (403, "host_not_allowed")
    assert "TRUSTED_HOSTS" in response.json()["detail"]


def asked(service: Service, line: str, *headers: str) -> bytes:
    """The answer to a request of exactly these headers, on a connection of its own."""
    head = "\r\n".join([line, *headers, "Connection: close", "", ""])
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        connection.sendall(head.encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


NAMELESS = {
    "none": [],
    "an empty one": ["Host:"],
    "two": ["Host: localhost", "Host: localhost"],
    "a user in it": ["Host: evil.example@localhost"],
    "an address": ["Host: http://localhost/"],
    "a port that is none": ["Host: localhost:http"],
    "half an address": ["Host: [::1"],
    "two names": ["Host: localhost, localhost"],
    "other letters": ["Host: caf\u00e9.localhost"],
}


@pytest.mark.parametrize("path", ["/health", "/scopes", "/nowhere"])
@pytest.mark.parametrize("hosts", NAMELESS)
def test_a_request_needs_one_host_that_is_one(named: Service, hosts: str, path: str) -> None:
    answer = asked(named, f"GET {path} HTTP/1.1", *NAMELESS[hosts])
    assert answer.startswith(b"HTTP/1.1 400 ")
    if hosts != "two":  # which gunicorn refuses
        assert b'"field":"Host"' in answer


def test_http_1_0_needs_none_where_names_are_not_checked(named: Service, locked: Service) -> None:
    for path in ("/health", "/ready"):
        assert asked(named, f"GET {path} HTTP/1.0").startswith(b"HTTP/1.0 200 ")
    refused = asked(named, "GET /scopes HTTP/1.0")
    assert refused.startswith(b"HTTP/1.0 403 ")
    assert b'"code":"host_not_allowed"' in refused
    key = f"X-API-Key: {ADMIN_KEY}"
    assert asked(locked, "GET /scopes HTTP/1.0", key).startswith(b"HTTP/1.0 200 ")


def test_probes_come_by_any_name(named: Service) -> None:
    for path in ("/health", "/ready"):
        assert named.http.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_a_proxy_that_the_operator_does_not_name_is_not_believed(named: Service) -> None:
    told = {"X-Forwarded-Host": "memory.example.com", "X-Forwarded-Proto": "https"}
    own = {**told, "Origin": "https://memory.example.com"}
    assert code(named.post("get_all", headers=own)) == REFUSED


def test_every_answer_has_the_security_headers(named: Service) -> None:
    for response in (
        named.http.get("/health"),
        named.post("get_all"),
        named.post("nowhere"),
        named.post("reset", headers={"Origin": "https://evil.example"}),
    ):
        headers = response.headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


# ---- how often


def test_without_a_rate_there_are_no_such_headers(named: Service) -> None:
    assert "RateLimit-Limit" not in named.post("get_all").headers


def test_a_store_that_is_down_does_not_stop_the_service(tmp_path: Path) -> None:
    storage = f"redis://:secret-word@127.0.0.1:{free_port()}"
    settings = {"RATE_LIMIT": "2/hour", "RATE_LIMIT_STORAGE": storage}
    with Service(tmp_path / "data", **settings) as service:
        assert [service.post("get_all").status_code for _ in range(3)] == [200, 200, 429]
        assert "secret-word" not in service.log.read_text()


# ---- whoever it is, and however long it takes


@pytest.fixture(scope="module")
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def open_to_all(
    tmp_path_factory: pytest.TempPathFactory, openai: OpenAIServer
) -> Iterator[Service]:
    """A service that anybody may ask who asks fast, while its model may be slow."""
    address = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1"}
    settings = {"AUTH_DISABLED": "true", "REQUEST_READ_TIMEOUT": "0.5"}
    data_dir = tmp_path_factory.mktemp("open") / "data"
    with Service(data_dir, **address, **settings) as service:
        yield service


def test_auth_disabled_answers_to_any_name(open_to_all: Service) -> None:
    assert open_to_all.post("get_all", headers={"Host": "any.name"}).status_code == 200
    assert "no ADMIN_API_KEY" in open_to_all.log.read_text()


@pytest.mark.soak
def test_a_model_may_take_longer_than_a_request_may(
    open_to_all: Service, openai: OpenAIServer
) -> None:
    """The connection of such a request is read no further, so its answer says that it is the last
    one there."""
    open_to_all.ask("add", data="tea", user_id="a", infer=False)
    openai.fault("/v1/embeddings", delay=3)
    started = time.monotonic()
    late = open_to_all.post("search", {"query": "something else"})
    assert time.monotonic() - started > 2
    assert (late.status_code, late.headers["connection"]) == (200, "close")
    assert open_to_all.http.get("/health").headers["connection"] == "keep-alive"
