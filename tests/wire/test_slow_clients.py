"""Clients that are slow, silent or too many: who asks for little is answered all the same.

A hang here was 12 s and more; what is asserted leaves room for a slow machine. The figures at
15 s of patience are benchmarks/slow_clients.py's; tests/soak/test_slow_clients.py has what takes
long, other services and larger crowds.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service import ONCE, Service, polling, wait_for

SOON_S = 3.0
THREADS = 32

HALF_A_HEAD = b"POST /memory/get_all HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_BODY = HALF_A_HEAD + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
A_FILE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
CROWDS = {"half-sent heads": HALF_A_HEAD, "half-sent bodies": HALF_A_BODY, "files": A_FILE * 6}


class Crowd:
    """Clients that have sent something, and read nothing."""

    def __init__(self, service: Service, number: int, data: bytes) -> None:
        self.stack = contextlib.ExitStack()
        self.clients = []
        for _ in range(number):
            client = self.stack.enter_context(connect(service))
            client.sendall(data)
            self.clients.append(client)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 30)


class Watch:
    """What is left of a crowd when it has gone: nothing."""

    def __init__(self, service: Service) -> None:
        [self.worker] = service.workers()
        self.service = service
        self.before = self._held()

    def _held(self) -> tuple[int, int]:
        """Threads and sockets; the history keeps connections of its own."""
        here = Path(f"/proc/{self.worker}")
        sockets = 0
        for file in (here / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                sockets += str(file.readlink()).startswith("socket:")
        return len([*(here / "task").iterdir()]), sockets

    def check(self, *, threads: bool = False) -> None:
        """Those of the threads that have nothing to do end after a few seconds."""
        assert self.service.workers() == [self.worker]
        wait_for(lambda: self._held()[1] <= self.before[1], 30)
        if threads:
            wait_for(lambda: self._held()[0] <= self.before[0], 30)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Few threads, and 15 s for everybody."""
    folder = tmp_path_factory.mktemp("patient")
    with Service(folder / "data", THREADS=str(THREADS)) as service:
        yield service


def health(service: Service) -> float:
    """Seconds until a new client has its answer."""
    started = time.monotonic()
    assert ONCE.get(f"{service.url}/health", timeout=60).status_code == 200
    return time.monotonic() - started


def listing(service: Service) -> httpx.Response:
    return ONCE.post(f"{service.url}/memory/get_all", timeout=60)


def slowest_health(service: Service, seconds: float) -> float:
    return max(health(service) for _ in polling(seconds))


@pytest.mark.parametrize("kind", CROWDS)
def test_a_crowd_larger_than_the_threads_keeps_nobody_waiting(patient: Service, kind: str) -> None:
    watch = Watch(patient)
    with Crowd(patient, THREADS + 8, CROWDS[kind]):
        assert slowest_health(patient, 1) < SOON_S
    watch.check()


def test_beyond_the_threads_there_is_an_answer_at_once_that_says_when_to_come_again(
    patient: Service,
) -> None:
    with Crowd(patient, THREADS, HALF_A_BODY):
        refused = wait_for(lambda: refusal(patient), SOON_S)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["connection"] == "close"
    assert refused.json()["code"] == "service_busy"
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


def refusal(service: Service) -> httpx.Response | None:
    answer = listing(service)
    return answer if answer.status_code == 503 else None


def test_the_oldest_half_sent_heads_go_first(patient: Service) -> None:
    half = THREADS // 2
    with Crowd(patient, half, HALF_A_HEAD) as old, Crowd(patient, 4, HALF_A_HEAD) as new:
        wait_for(lambda: sum(map(is_closed, old.clients)) == 4, SOON_S)
        assert list(map(is_closed, old.clients))[:4] == [True] * 4
        for client in new.clients:  # they may still end theirs
            client.sendall(b"Connection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True
