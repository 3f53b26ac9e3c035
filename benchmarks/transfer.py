"""How long an export and an import of many memories take, in how much memory, and what others
notice of it.

    python benchmarks/transfer.py [--memories 100000]

On the embedded engine, with vectors, so that nothing is embedded. A client that reads one memory
after the other, every 10 ms, is there all the time.
"""

import argparse
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import cpu_s, resident_mb
from benchmarks.load import sentence
from tests.service import Service, wait_for
from tests.transfer import NDJSON, header, raw, vector

USERS = 50
READ_EVERY_S = 0.01
VECTORS = 1000  # different ones: to make one takes as long as to import it


def write(file: IO[bytes], memories: int) -> None:
    vectors = [vector(number, 384) for number in range(VECTORS)]
    file.write(raw(header()))
    for number in range(memories):
        file.write(raw(_line(number, vectors[number % VECTORS])))
    file.flush()


def _line(number: int, packed: str) -> dict[str, Any]:
    minutes, micros = divmod(number, 1000)
    time_ = f"2024-{1 + minutes // 1440 % 12:02}-{1 + minutes // 60 % 24:02}T"
    time_ += f"{minutes % 24:02}:{minutes % 60:02}:00.{micros:06}+00:00"
    text = sentence(number)
    event = {"event": "ADD", "new_memory": text, "created_at": time_, "updated_at": time_}
    return {
        "type": "memory",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "memory": text,
        "user_id": f"user-{number % USERS}",
        "metadata": {"source": "chat"},
        "created_at": time_,
        "updated_at": time_,
        "role": "user",
        "history": [event],
        "vector": packed,
    }


class Watch:
    """What a reader waits for, and how much memory the service has, while something is done."""

    def __init__(self, service: Service, ids: list[str]) -> None:
        self._service = service
        self._ids = ids
        self._took: list[float] = []
        self._end = threading.Event()
        self._most_mb = 0.0

    def __enter__(self) -> "Watch":
        self._cpu_s = cpu_s(self._service.workers())
        self._started = time.monotonic()
        self._threads = [threading.Thread(target=one) for one in (self._read, self._weigh)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with self._service.client() as client:
            while not self._end.wait(READ_EVERY_S):
                started = time.perf_counter()
                client.post("/memory/get", json={"memory_id": random.choice(self._ids)})
                self._took.append(time.perf_counter() - started)

    def _weigh(self) -> None:
        while not self._end.wait(0.2):
            self._most_mb = max(self._most_mb, resident_mb(self._service.workers()))

    def __str__(self) -> str:
        took = sorted(self._took)
        p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
        cpu = cpu_s(self._service.workers()) - self._cpu_s
        return (
            f"{self.seconds:.1f} s, {cpu:.1f} s of CPU, at most {self._most_mb:.0f} MB; "
            f"a get p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {took[-1] * 1000:.0f} ms"
        )


def send(service: Service, file: IO[bytes]) -> str:
    def pieces() -> Iterator[bytes]:
        file.seek(0)
        yield from iter(lambda: file.read(2**16), b"")

    response = service.http.post("/import", content=pieces(), headers=NDJSON, timeout=3600)
    report = response.raise_for_status().json()
    return f"{report['imported']} imported, {report['unchanged']} unchanged"


def take(service: Service) -> str:
    size = 0
    asked = {"vectors": True, "history": "all"}
    with service.http.stream("POST", "/export", json=asked, timeout=3600) as response:
        for data in response.iter_raw():
            size += len(data)
    return f"{size / 1e6:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000)
    memories = parser.parse_args().memories
    with TemporaryDirectory() as folder, NamedTemporaryFile(dir=folder) as file:
        write(file, memories)
        print(f"{memories} memories, {Path(file.name).stat().st_size / 1e6:.0f} MB of lines")
        with Service(Path(folder) / "data") as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 60)
            ids = [service.ask("add", data="tea", user_id="reader")["result"] for _ in range(20)]
            with Watch(service, ids) as nothing:
                time.sleep(3)
            print(f"nothing else: {nothing}")
            for name, work in {
                "import": lambda: send(service, file),
                "export": lambda: take(service),
                "import of the same": lambda: send(service, file),
            }.items():
                with Watch(service, ids) as watch:
                    found = work()
                print(f"{name}: {found}: {watch}", flush=True)
            service.stop()
            service.start()
            with Watch(service, ids) as watch:
                take(service)
            print(f"export after a restart: {watch}")


if __name__ == "__main__":
    main()
