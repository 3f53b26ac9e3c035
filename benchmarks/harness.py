"""Starts what the benchmarks measure: the service, stock mem0, the floor, and OpenAI's stub."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import USERS, Operation, Taken, drive, operations, sentence  # noqa: E402
from tests.service import Service, free_port, wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def request(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, json.dumps(body) if body is not None else None)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


class Stub:
    """The stand-in for OpenAI, in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"

    def set(self, **settings: float) -> None:
        """Set delays in ms; the counters start again at 0."""
        request(self.port, "POST", "/control", settings)

    def stats(self) -> dict[str, int]:
        counted: dict[str, int] = request(self.port, "GET", "/stats")
        return counted


@contextmanager
def openai_stub() -> Iterator[Stub]:
    port = free_port()
    process = subprocess.Popen([sys.executable, ROOT / "benchmarks/openai_stub.py", str(port)])
    stub = Stub(port)

    def answers() -> bool:
        try:
            return bool(stub.stats())
        except OSError:
            return False

    try:
        wait_for(answers)
        yield stub
    finally:
        process.terminate()
        process.wait()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def qdrant_stub() -> Iterator[str]:
    """The address of the stand-in for Qdrant, in a process of its own; gRPC is at the next port."""
    port = next(port for port in iter(free_port, None) if is_free(port + 1))
    command = [sys.executable, "-m", "tests.servers.qdrant", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return bool(request(port, "GET", "/"))
        except OSError:
            return False

    try:
        wait_for(answers, 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def on_qdrant(url: str) -> dict[str, str]:
    """Settings of the service on a server that has gRPC at the next port, as `qdrant_stub`."""
    return {"QDRANT_URL": url, "QDRANT_GRPC_PORT": str((urlsplit(url).port or 6333) + 1)}


def on_openai(stub: Stub) -> dict[str, str]:
    """Settings of the service in OpenAI mode, and whatever BENCH_* variables add: BENCH_X is X."""
    more = {n.removeprefix("BENCH_"): v for n, v in os.environ.items() if n.startswith("BENCH_")}
    return {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": stub.url, **more}


class Target:
    """A gunicorn with one worker."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ids: list[str] = []

    def grow(self, count: int, users: int = USERS, first: int = 0) -> None:
        for start in range(first, first + count, 250):
            for user in range(users):
                numbers = range(start + user, min(start + 250, first + count), users)
                said = [{"role": "user", "content": sentence(n)} for n in numbers]
                if said:
                    asked = {"messages": said, "user_id": f"user-{user}", "infer": False}
                    found = self.service.ask("add", **asked)["results"]
                    self.ids += [memory["id"] for memory in found]

    def load(self, scenario: str, clients: int, seconds: float) -> Taken:
        make = partial(operations, scenario, ids=self.ids)
        return self.under(lambda number: make(number), clients, seconds)

    def under(
        self, make: Callable[[int], Iterator[Operation]], clients: int, seconds: float
    ) -> Taken:
        before = cpu_s(self.service.workers())
        taken = drive(self.service.port, make, clients, seconds)
        taken.cpu_s = cpu_s(self.service.workers()) - before
        return taken


class Stock:
    """Stock mem0 in process, as benchmarks/stock_mem0.py."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.import_s: float = self._answer()
        self.ids: list[str] = []

    def ask(self, name: str, *arguments: Any) -> Any:
        print(json.dumps([name, arguments]), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        return json.loads(next(iter(self._process.stdout or [])))

    def grow(self, count: int, users: int = USERS) -> None:
        self.ids += self.ask("grow", count, users)

    def load(self, scenario: str, clients: int, seconds: float) -> Taken:
        found = self.ask("load", scenario, clients, seconds, self.ids)
        return Taken(found["taken"], found["failed"], found["elapsed"], found["cpu_s"])


@contextmanager
def stock_mem0(stub: Stub, folder: Path, qdrant: str = "") -> Iterator[Stock]:
    """`qdrant`: the address of a server; without one it keeps its vectors in `folder`."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "benchmarks/stock_mem0.py", stub.url, str(folder), qdrant],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Stock(process)
    finally:
        process.terminate()
        process.wait()


class Floor(Service):
    """The bare Flask handler under the same gunicorn, with its own threaded worker."""

    application = "benchmarks.floor:app"


@contextmanager
def ours(stub: Stub, folder: Path, **settings: str) -> Iterator[Target]:
    with Service(folder / "data", **on_openai(stub), **settings) as service:
        wait_for(lambda: service.http.get("/ready").status_code == 200)
        yield Target(service)


@contextmanager
def floor(folder: Path) -> Iterator[Target]:
    folder.mkdir(exist_ok=True)
    with Floor(folder / "data", GUNICORN_CMD_ARGS="--worker-class gthread") as service:
        yield Target(service)


def cpu_s(pids: list[int]) -> float:
    """User and system time of processes, in s."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident_mb(pids: list[int]) -> float:
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(pages) * os.sysconf("SC_PAGESIZE") / 1e6


def in_turn(targets: Mapping[str, Callable[[], Taken]], rounds: int) -> dict[str, list[Taken]]:
    """Each target once a round, backwards in every other one: a slow spell hits them all."""
    found: dict[str, list[Taken]] = {name: [] for name in targets}
    for round_ in range(rounds):
        for name in list(targets)[:: 1 if round_ % 2 == 0 else -1]:
            found[name].append(targets[name]())
            time.sleep(0.1)
    return found


__all__ = ["ExitStack", "Floor", "Stock", "Stub", "Target"]
