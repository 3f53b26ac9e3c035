"""How gunicorn's threads and connections go together, over plain sockets."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import IO

import pytest

from tests.service import Service

THREADS = 3
SOON = 20.0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("narrow")
    with Service(folder / "data", THREADS=str(THREADS)) as service:
        yield service


def connect(service: Service) -> tuple[socket.socket, IO[bytes]]:
    connection = socket.create_connection(("127.0.0.1", service.port), SOON)
    return connection, connection.makefile("rb")


def asking(number: int) -> bytes:
    head = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: {number}\r\n\r\n"
    return head.encode()


def answer(stream: IO[bytes]) -> tuple[int, str]:
    """The status, and the id of the request that it answers."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    assert json.loads(stream.read(int(headers["content-length"])))["status"] == "ok"
    return status, headers["x-request-id"]


def test_requests_that_come_in_one_piece_are_answered_in_their_order(narrow: Service) -> None:
    connection, stream = connect(narrow)
    with connection, stream:
        connection.sendall(b"".join(map(asking, range(20))))
        assert [answer(stream) for _ in range(20)] == [(200, str(n)) for n in range(20)]


def test_a_request_in_two_pieces_is_waited_for(narrow: Service) -> None:
    connection, stream = connect(narrow)
    with connection, stream:
        for number in range(3):
            whole = asking(number)
            connection.sendall(whole[:30])
            assert narrow.http.get("/health").status_code == 200  # others are served meanwhile
            connection.sendall(whole[30:])
            assert answer(stream) == (200, str(number))


def test_more_connections_than_threads_are_all_served(narrow: Service) -> None:
    """Each has sent a request before any sends its last: none waits for another to go."""
    crowd = 4 * THREADS
    together = Barrier(crowd)

    def client(number: int) -> list[tuple[int, str]]:
        connection, stream = connect(narrow)
        with connection, stream:
            seen = []
            for _ in range(10):
                connection.sendall(asking(number))
                seen.append(answer(stream))
                together.wait(SOON)
            return seen

    with ThreadPoolExecutor(crowd) as pool:
        for number, seen in enumerate(pool.map(client, range(crowd))):
            assert seen == [(200, str(number))] * 10


def test_silent_connections_do_not_keep_the_threads(narrow: Service) -> None:
    silent = [connect(narrow) for _ in range(3 * THREADS)]
    try:
        connection, stream = connect(narrow)
        with connection, stream:
            connection.sendall(asking(1))
            assert answer(stream) == (200, "1")
    finally:
        for connection, stream in silent:
            stream.close()
            connection.close()
