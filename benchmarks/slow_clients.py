"""What clients that are slow, silent or too many do to others.

    .venv/bin/python benchmarks/slow_clients.py        about four minutes

Beside each crowd a client asks for /health, on a new connection each time. The service runs as
shipped: 256 threads, 15 s to send a request and to take an answer.
"""

import contextlib
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.service import Service

DEADLINE_S = 15
HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_BODY = HALF_A_HEAD.replace(b"GET /health", b"POST /memory/add") + (
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
)
A_FILE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"

CROWDS = {
    "half-sent heads": (300, HALF_A_HEAD, ""),
    "half-sent bodies": (300, HALF_A_BODY, ""),
    "six files asked for, none read": (300, A_FILE * 6, ""),
    "silent": (2000, b"", ""),
    "silent, soft limit 1024": (1100, b"", "ulimit -Sn 1024"),
    "silent, hard limit 1024": (1100, b"", "ulimit -n 1024"),
    "files asked for, hard limit 1024": (1100, A_FILE * 6, "ulimit -n 1024"),
}


class Limited(Service):
    def __init__(self, data_dir: Path, limit: str) -> None:
        super().__init__(data_dir)
        self.prefix = ["sh", "-c", f'{limit or ":"}; exec "$@"', "sh"]


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    heads = ("", "clients", "/health max", "others again", "threads", "files")
    print("{:34}{:>8}{:>13}{:>14}{:>12}{:>12}".format(*heads))
    for name, (clients, sends, limit) in CROWDS.items():
        if len(sys.argv) < 2 or sys.argv[1] in name:
            measure(name, clients, sends, limit)


def measure(name: str, clients: int, sends: bytes, limit: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Limited(Path(folder) / "data", limit) as service:
        service.ask("add", data="tea", user_id="a")
        service.http.close()
        [worker] = service.workers()
        time.sleep(7)  # until the threads of the start are gone
        before = held(worker)
        with contextlib.ExitStack() as stack:
            for _ in range(clients):
                client = stack.enter_context(socket.socket())
                client.connect(("127.0.0.1", service.port))
                client.sendall(sends)
            started = time.monotonic()
            times, again = [], 0.0
            while time.monotonic() < started + DEADLINE_S + 5:
                times.append(asked(service, "GET", "/health"))
                if asked(service, "POST", "/memory/get_all") == float("inf"):
                    again = time.monotonic() - started
                time.sleep(0.05)
        time.sleep(7)
        after = held(worker) if service.workers() == [worker] else ("died", "died")
    shown = [f"{was} -> {now}" for was, now in zip(before, after, strict=True)]
    print(f"{name:34}{clients:8}{max(times):11.2f} s{again:12.1f} s{shown[0]:>12}{shown[1]:>12}")


def asked(service: Service, method: str, path: str) -> float:
    """Seconds until it is answered 200."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port), 60) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        connection.sendall((head + (body if method == "POST" else "\r\n")).encode())
        answer = b""
        with contextlib.suppress(OSError):
            answer = connection.recv(100)
    return time.monotonic() - started if answer.startswith(b"HTTP/1.1 200 ") else float("inf")


def held(process: int) -> tuple[int, int]:
    """Threads and open files."""
    here = Path(f"/proc/{process}")
    return len(list((here / "task").iterdir())), len(list((here / "fd").iterdir()))


if __name__ == "__main__":
    main()
