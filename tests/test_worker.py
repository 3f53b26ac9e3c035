"""How gunicorn's threads and connections go together, over plain sockets."""

import inspect
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from threading import Barrier
from typing import IO

import pytest
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.message import Message
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.worker import Worker
from tests.servers.openai import OpenAIServer
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


def test_a_request_that_took_longer_than_it_may_take_to_send_says_that_it_was_the_last(
    tmp_path: Path,
) -> None:
    """Its connection is read no further, so the client must not send another one there."""
    with (
        OpenAIServer() as openai,
        Service(
            tmp_path / "data",
            OPENAI_API_KEY="sk-x",
            OPENAI_BASE_URL=f"{openai.url}/v1",
            REQUEST_READ_TIMEOUT="1",
        ) as service,
    ):
        service.ask("add", data="tea", user_id="a")
        openai.fault("/v1/embeddings", delay=2)
        late = service.post("search", {"query": "something else"})
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert service.http.get("/health").headers["connection"] == "keep-alive"


class TestPinned:
    """What an upgrade of gunicorn must not move; here it fails, and not in production."""

    def test_version(self) -> None:
        assert version("gunicorn") == "27.0.1"

    def test_what_the_worker_extends_and_calls(self) -> None:
        ours = {name for name, what in vars(Worker).items() if inspect.isfunction(what)}
        extended = {
            *("init_process", "load_wsgi", "run", "handle_exit", "notify", "accept"),
            *("handle", "handle_request", "wait_for_and_dispatch_events"),
        }
        assert ours & set(dir(ThreadWorker)) == extended  # and no name of ours is one of its own
        assert {"get_thread_pool", "on_pending_socket_readable"} <= set(dir(ThreadWorker))

    def test_what_it_reads_and_sets(self) -> None:
        source = inspect.getsource(ThreadWorker.__init__) + inspect.getsource(BaseWorker.__init__)
        for name in (
            *("nr_conns", "worker_connections", "tpool", "poller", "pending_conns"),
            *("keepalived_conns", "alive", "booted", "sockets", "cfg", "log"),
        ):
            assert f"self.{name} = " in source
        assert "self.wsgi = " in inspect.getsource(BaseWorker.load_wsgi)
        assert {"threads", "keepalive", "worker_connections", "do_handshake_on_connect"} <= set(
            Config().settings
        )

    def test_a_connection(self) -> None:
        assert [*inspect.signature(TConn).parameters] == ["cfg", "sock", "client", "server"]
        assert [*inspect.signature(TConn.close).parameters] == ["self", "graceful"]
        source = inspect.getsource(TConn.__init__)
        assert all(f"self.{name} = " in source for name in ("sock", "timeout", "data_ready"))

    def test_when_it_calls_what_is_ours(self) -> None:
        loop = inspect.getsource(ThreadWorker.run)
        order = ["self.notify()", "can_accept = self.nr_conns < self.worker_connections"]
        order += ["self.wait_for_and_dispatch_events(timeout=1.0)", "self.murder_pending()"]
        order += ["self.set_accept_enabled(False)", "while self.nr_conns > 0:", "self.notify()"]
        for step in order:
            assert step in loop
            loop = loop[loop.index(step) + len(step) :]
        assert "conn.close(graceful=True)" in inspect.getsource(ThreadWorker.finish_request)
        assert "self.handle_request(req, conn)" in inspect.getsource(ThreadWorker.handle)
        readable = inspect.getsource(ThreadWorker.on_pending_socket_readable)
        for step in ("poller.unregister", "pending_conns.remove", "data_ready = True"):
            assert step in readable
        for murder in (ThreadWorker.murder_pending, ThreadWorker.murder_keepalived):
            source = inspect.getsource(murder)
            assert "conn.timeout" in source
            assert "conn.close()" in source

    def test_how_an_answer_is_sent(self) -> None:
        served = inspect.getsource(ThreadWorker.handle_request)
        assert "wsgi.create(req, conn.sock" in served
        assert "self.wsgi(environ, resp.start_response)" in served
        sent = inspect.getsource(wsgi) + inspect.getsource(util.write)
        assert set(re.findall(r"sock\.(\w+)\(", sent)) == {"send", "sendall", "sendfile"}
        assert '"gunicorn.socket": sock' in inspect.getsource(wsgi.default_environ)
        assert "self.req.should_close()" in inspect.getsource(wsgi.Response.should_close)
        assert "if self.must_close:" in inspect.getsource(Message.should_close)
        assert "if not keepalive:" in inspect.getsource(ThreadWorker._keepalive_after)

    def test_how_a_handshake_is_made(self) -> None:
        source = inspect.getsource(TConn.init)
        wrapped = source.index("self.sock = sock.ssl_wrap_socket(")
        assert wrapped < source.index("if not self.cfg.do_handshake_on_connect:")
        assert wrapped < source.index("self.sock.do_handshake()")

    def test_how_one_worker_follows_another(self) -> None:
        assert Arbiter.WORKER_BOOT_ERROR == 3
        assert "environ['GUNICORN_PID'] = str(master_pid)" in inspect.getsource(Arbiter.reexec)
