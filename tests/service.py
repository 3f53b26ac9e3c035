"""The real service in a process of its own: gunicorn, HTTP, embedded engine, as `make run`."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parent.parent
GUNICORN = Path(sys.executable).with_name("gunicorn")  # by `-m` it could not replace itself (USR2)
START_S = 30
# httpx reads all certificate authorities for each client, also for that of `httpx.get`: 17 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ONCE = httpx.Client(verify=NO_TLS, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
"""A connection of its own for each request."""
ADMIN_KEY = "an-admin-key-of-the-tests-0123456789"


class Service:
    """One gunicorn on a free port of 127.0.0.1."""

    application = "app.wsgi:app"
    prefix: Sequence[str] = ()
    """Of the command that starts it, such as what gives it other limits."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = self.client()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        # What measures coverage of subprocesses, where the tests run under it.
        inherited |= {name: v for name, v in os.environ.items() if name.startswith("COVERAGE_")}
        self.environ = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "DATA_DIR": str(data_dir),
            **settings,
        }

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it to answer."""
        with self.log.open("ab") as log:
            configuration = ["-c", ROOT / "gunicorn.conf.py"]
            self.process = subprocess.Popen(
                [*self.prefix, GUNICORN, *configuration, self.application],
                env=self.environ,
                cwd=self.data_dir.parent,  # away from a developer's own .env
                stdout=log,
                stderr=log,
            )
        return self.process

    def start(self) -> Self:
        self.launch()
        wait_for(self.answers, START_S)
        return self

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended:\n{self.log.read_text()}")
        with contextlib.suppress(httpx.TransportError):
            return ONCE.get(f"{self.url}/health").status_code == 200
        return False

    def reconnect(self) -> None:
        """Let go of the connections to a process that ends."""
        self.http.close()
        self.http = self.client()

    def client(self) -> httpx.Client:
        """A client of its own."""
        return httpx.Client(base_url=self.url, timeout=60, verify=NO_TLS)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        self.reconnect()
        workers = self.workers()
        self.process.send_signal(with_signal)
        status = self.process.wait(timeout=120)  # requests at work may finish
        if with_signal == signal.SIGKILL:  # the workers would live on for a while, and answer
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not self.listens())
        return status

    def workers(self) -> list[int]:
        """The processes that gunicorn's master has started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def post(self, route: str, body: Any = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        return self.http.post(f"/memory/{route}", **options)

    def ask(self, route: str, **fields: Any) -> Any:
        """The answer of a request that must succeed."""
        response = self.post(route, fields)
        assert response.is_success, response.text
        return response.json()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.stop()


def free_port() -> int:
    """One that nobody else is given for a minute, also not tests that run at the same time.

    A closed connection holds it (TIME_WAIT) against all but those who ask for it by its number.
    """
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn will
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address = listener.getsockname()
        client.connect(address)
        accepted, _ = listener.accept()
        accepted.close()  # first, so that it is this end that waits
        client.recv(1)
        port: int = address[1]
        return port


def wait_for(condition: Any, seconds: float = 30) -> Any:
    """The first true value of `condition()`; fails when there is none in time."""
    for _ in polling(seconds):
        if value := condition():
            return value
    raise AssertionError(f"nothing within {seconds} s")


def polling(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
