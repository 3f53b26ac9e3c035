"""Clients that are slow, silent or many, on services of other limits; and over TLS."""

import contextlib
import json
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service import ONCE, Service, polling, wait_for
from tests.wire.test_slow_clients import (
    A_FILE,
    HALF_A_BODY,
    HALF_A_HEAD,
    SOON_S,
    THREADS,
    Crowd,
    Watch,
    connect,
    health,
    is_closed,
    listing,
    slowest_health,
)

READ_S = 2
SEND_S = 1
HASTY = {"THREADS": "32", "REQUEST_READ_TIMEOUT": str(READ_S), "SEND_TIMEOUT": str(SEND_S)}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hasty")
    with Service(folder / "data", **HASTY) as service:
        yield service


# ---- silent ones


@pytest.fixture
def files() -> Iterator[None]:
    """Enough for the clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine does not give enough open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Limited(Service):
    def __init__(self, data_dir: Path, limit: str, **settings: str) -> None:
        super().__init__(data_dir, **settings)
        self.prefix = ["sh", "-c", f'{limit} && exec "$@"', "sh"]


@pytest.mark.usefixtures("files")
def test_without_a_file_left_the_worker_goes_on(tmp_path: Path) -> None:
    """Fewer files than are set aside for all but connections."""
    with Limited(tmp_path / "data", "ulimit -n 64", **HASTY) as service:
        [worker] = service.workers()
        with Crowd(service, 100, A_FILE * 6):
            wait_for(lambda: "no room for another connection" in service.log.read_text())
        assert health(service) < SOON_S
        assert service.workers() == [worker]
        assert "Traceback" not in service.log.read_text()


def test_a_stop_does_not_wait_for_silent_ones(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service, Crowd(service, 10, b""):
        health(service)  # they have been accepted
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 10  # REQUEST_READ_TIMEOUT is 15 s


def test_who_does_not_end_an_answered_connection_stops_nobody(hasty: Service) -> None:
    closing = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    watch = Watch(hasty)
    with Crowd(hasty, 20, closing) as crowd:
        assert all(client.recv(100).startswith(b"HTTP/1.1 200 ") for client in crowd.clients)
        assert slowest_health(hasty, 0.5) < SOON_S  # gunicorn's own way: 2 s for each of them
    watch.check()


# ---- answers


def reader(service: Service, request: bytes, buffer: int = 8192) -> socket.socket:
    """A client with a small buffer, which has asked for something large."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(30)
    client.connect(("127.0.0.1", service.port))
    client.sendall(request)
    return client


def read_slowly(client: socket.socket, size: int) -> int:
    """Up to `size` bytes twenty times a second, until the end; how many there were."""
    read = 0
    with contextlib.suppress(ConnectionResetError):
        for _ in polling(30):
            piece = client.recv(size)
            if not piece:
                break
            read += len(piece)
    return read


CLOSING = A_FILE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def test_an_answer_that_is_taken_slowly_but_steadily_is_whole(hasty: Service) -> None:
    """Three, which no buffer of the system takes whole: it would say only after more than a second
    that there is room in a large one."""
    whole = len(ONCE.get(f"{hasty.url}/docs/swagger-ui-bundle.js").content)
    started = time.monotonic()
    with reader(hasty, A_FILE * 2 + CLOSING, 65_536) as client:
        assert read_slowly(client, 35_000) > 3 * whole
    assert time.monotonic() - started > 2 * SEND_S


def test_one_that_trickles_is_broken_off(hasty: Service) -> None:
    whole = len(ONCE.get(f"{hasty.url}/docs/swagger-ui-bundle.js").content)
    before = broken_off(hasty)
    with reader(hasty, CLOSING) as client:
        assert read_slowly(client, 100) < whole
    wait_for(lambda: broken_off(hasty) > before)


def broken_off(service: Service) -> int:
    return service.log.read_text().count("not taken in time was broken off")


def test_a_listing_that_nobody_takes_is_broken_off(hasty: Service) -> None:
    for number in range(6):
        said = {"data": f"{number} " + "tea " * 20_000, "user_id": "much"}
        assert ONCE.post(f"{hasty.url}/memory/add", json=said, timeout=60).is_success
    body = json.dumps({"user_id": "much"}).encode()
    head = b"POST /memory/get_all HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    before = broken_off(hasty)
    with reader(hasty, head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)) as client:
        assert client.recv(20).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: broken_off(hasty) > before, 30 * SEND_S)
        with contextlib.suppress(ConnectionResetError):
            taken = b"".join(iter(lambda: client.recv(65536), b""))
            assert not taken.endswith(b"0\r\n\r\n")


# ---- TLS, as GUNICORN_CMD_ARGS may have it


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    arguments = f"--certfile {folder}/cert.pem --keyfile {folder}/key.pem"
    service = Encrypted(folder / "data", GUNICORN_CMD_ARGS=arguments, **HASTY)
    with service:
        yield service


class Encrypted(Service):
    def __init__(self, data_dir: Path, **settings: str) -> None:
        super().__init__(data_dir, **settings)
        self.url = self.url.replace("http:", "https:")
        self.context = ssl.create_default_context(cafile=data_dir.parent / "cert.pem")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return self.get("/health").status_code == 200
        return False

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, verify=self.context, timeout=60)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_that_does_not_come_keeps_nobody_waiting(
    encrypted: Encrypted, sent: bytes
) -> None:
    watch = Watch(encrypted)
    with Crowd(encrypted, THREADS + 8, sent) as crowd:
        for _ in polling(READ_S):
            started = time.monotonic()
            assert encrypted.get("/health").status_code == 200
            assert time.monotonic() - started < SOON_S
        wait_for(lambda: all(map(is_closed, crowd.clients)), 3 * SOON_S)
    watch.check()
    assert "Traceback" not in encrypted.log.read_text()


def test_an_encrypted_request_that_does_not_go_on_is_cut_off(encrypted: Encrypted) -> None:
    for half in (HALF_A_HEAD, HALF_A_BODY):
        with encrypted.context.wrap_socket(
            connect(encrypted), server_hostname="127.0.0.1"
        ) as client:
            client.sendall(half)
            client.settimeout(READ_S + SOON_S)
            with contextlib.suppress(ssl.SSLError):
                assert client.recv(100) == b""
    assert "Traceback" not in encrypted.log.read_text()


def test_an_encrypted_answer_is_whole_or_broken_off(encrypted: Encrypted) -> None:
    whole = len(encrypted.get("/docs/swagger-ui-bundle.js").content)
    assert whole > 1_000_000
    with encrypted.context.wrap_socket(reader(encrypted, b""), server_hostname="127.0.0.1") as one:
        one.sendall(CLOSING)
        with contextlib.suppress(ssl.SSLError):
            assert read_slowly(one, 100) < whole


def importing(length: int) -> bytes:
    return (
        b"POST /import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def test_a_long_body_need_not_be_whole_in_time_but_must_keep_coming(hasty: Service) -> None:
    line = b'{"memory": "tea", "user_id": "slow"}' + b" " * 20_000 + b"\n"
    with connect(hasty) as steady, connect(hasty) as silent, connect(hasty) as dripping:
        started = time.monotonic()
        steady.sendall(importing(20 * len(line)))
        silent.sendall(importing(9) + b"{")
        dripping.sendall(importing(10**6))
        for _ in range(20):
            time.sleep(READ_S / 10)  # what is slow here is the subject
            steady.sendall(line)
            with contextlib.suppress(ConnectionError):
                dripping.sendall(b" " * 100)
        assert time.monotonic() - started > 1.5 * READ_S
        assert steady.recv(65536).startswith(b"HTTP/1.1 200 ")
        for late in (silent, dripping):
            assert late.recv(65536).startswith(b"HTTP/1.1 400 ")


# ---- requests that are sent slowly


HEAD = b"POST /memory/add HTTP/1.1\r\nHost: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
SLOW = {
    "headers": HEAD,
    "a body": HEAD + JSON + b"Content-Length: 100000\r\n\r\n",
    "chunks": HEAD + JSON + b"Transfer-Encoding: chunked\r\n\r\n",
    "nothing": b"",
}
DRIBBLE = {"headers": b"X-A: b\r\n", "a body": b" ", "chunks": b"1\r\n \r\n", "nothing": b""}
MANY = 200


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("waiting") / "data", REQUEST_READ_TIMEOUT="6") as running:
        running.ask("add", data="tea", user_id="a")
        yield running


@pytest.mark.parametrize("kind", SLOW)
def test_many_slow_connections_hold_up_nobody_and_are_closed(waiting: Service, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", waiting.port)))
            for _ in range(MANY)
        ]
        for connection in slow:
            connection.sendall(SLOW[kind])
            connection.setblocking(False)

        def dribbled() -> bool:
            """One more byte or two of each; whether all are closed by the service."""
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(DRIBBLE[kind])
            return all(map(is_closed, slow))

        patient = httpx.Timeout(4)  # less than any of them holds its thread
        dribbled()
        assert ONCE.get(f"{waiting.url}/health", timeout=patient).status_code == 200
        found = ONCE.post(f"{waiting.url}/memory/search", json={"query": "tea"}, timeout=patient)
        assert len(found.json()["results"]) == 1
        wait_for(dribbled, 30)
    assert waiting.ask("get_all", limit=1)["total"] == 1


# ---- the real numbers

BUSY = [(300, HALF_A_HEAD), (300, HALF_A_BODY), (300, A_FILE * 6)]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("limit", "crowds"),
    [
        ("ulimit -Sn 1024", [(1100, b""), (2000, b""), *BUSY]),
        ("ulimit -n 1024", [(1100, b""), (1100, A_FILE * 6)]),
    ],
)
def test_at_the_real_numbers(tmp_path: Path, limit: str, crowds: list[tuple[int, bytes]]) -> None:
    settings = {"REQUEST_READ_TIMEOUT": "4", "SEND_TIMEOUT": "4"}
    with Limited(tmp_path / "data", limit, **settings) as service:
        watch = Watch(service)
        for number, data in crowds:
            with Crowd(service, number, data):
                assert slowest_health(service, 1) < SOON_S
                wait_for(lambda: listing(service).status_code == 200, 4 + SOON_S)
        watch.check(threads=True)
        assert "Traceback" not in service.log.read_text()
