"""How long an answer may wait for its client, over sockets with small buffers."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.sending import MIN_RATE, Answer
from tests.service import polling

SIZE = 200_000


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, clients = socket.socketpair()
    for end in (ours, clients):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.settimeout(30)
    with ours, clients:
        yield ours, clients


def read(client: socket.socket, size: int) -> None:
    """So much twenty times a second, until the end."""
    for _ in polling(30):
        if not client.recv(size):
            return


def seconds_until_it_is_broken_off(answer: Answer) -> float:
    started = time.monotonic()
    with pytest.raises(BrokenPipeError):
        answer.sendall(b"x" * SIZE)
    return time.monotonic() - started


def test_all_of_it_arrives(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    ours, client = ends
    (tmp_path / "file").write_bytes(b"-" + b"y" * SIZE)
    answer = Answer(ours, None, 10)

    def send() -> None:
        answer.sendall(b"x" * SIZE)
        with (tmp_path / "file").open("rb") as file:
            answer.sendfile(file, offset=1, count=SIZE)
        ours.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    sending.start()
    assert b"".join(iter(lambda: client.recv(65536), b"")) == b"x" * SIZE + b"y" * SIZE
    sending.join()


def test_a_file_that_is_shorter_than_it_was_ends_it(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"short")
    with (tmp_path / "file").open("rb") as file, pytest.raises(BrokenPipeError):
        Answer(ends[0], None, 10).sendfile(file, offset=0, count=6)


def test_who_takes_nothing_has_so_long(ends: tuple[socket.socket, socket.socket]) -> None:
    assert 0.5 < seconds_until_it_is_broken_off(Answer(ends[0], None, 0.5)) < 5


def test_in_a_hurry_nobody_has_any_time(ends: tuple[socket.socket, socket.socket]) -> None:
    answer = Answer(ends[0], None, 30)
    answer.hurry()
    assert seconds_until_it_is_broken_off(answer) < 5


def test_who_takes_a_little_all_the_time_is_too_slow(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Never so long without progress, but longer in all than 10 kB/s would take."""
    ours, client = ends
    trickling = threading.Thread(target=read, args=(client, MIN_RATE // 60))
    trickling.start()
    assert seconds_until_it_is_broken_off(Answer(ours, None, 3)) < 20  # the whole takes 60 s
    ours.close()
    trickling.join()


def test_the_time_until_there_is_more_to_send_is_not_the_clients(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, client = ends
    answer = Answer(ours, None, 0.5)
    reading = threading.Thread(target=read, args=(client, SIZE))
    reading.start()
    answer.sendall(b"the first of it")
    for _ in polling(0.7):
        pass  # the rest comes about
    answer.sendall(b"x" * SIZE)
    ours.close()
    reading.join()
