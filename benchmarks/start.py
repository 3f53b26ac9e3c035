#!/usr/bin/env python3
"""Start to the first 200, and memory when idle, in each mode; against importing mem0 alone.

.venv/bin/python benchmarks/start.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Floor, on_openai, openai_stub, resident_mb
from benchmarks.load import median
from tests.service import Service

ROUNDS = 5
MEM0 = (
    "import os, time; os.environ['MEM0_TELEMETRY'] = 'False'; t = time.perf_counter();"
    "import mem0; print(time.perf_counter() - t,"
    "int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGESIZE') / 1e6)"
)


def started(kind: type[Service], settings: dict[str, str]) -> tuple[float, float, float]:
    """Seconds to the first 200; MB of the worker, and of it and gunicorn's master."""
    with tempfile.TemporaryDirectory() as tmp:
        service = kind(Path(tmp) / "data", **settings)
        begun = time.perf_counter()
        service.launch()
        while not service.listens() or not service.answers():
            time.sleep(0.005)
        took = time.perf_counter() - begun
        time.sleep(1)
        worker = resident_mb(service.workers())
        both = worker + resident_mb([service.process.pid])
        service.stop()
        return took, worker, both


def import_of_mem0() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as tmp:
        environ = {"MEM0_DIR": tmp, "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-c", MEM0]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        took, resident = map(float, done.stdout.split())
        return took, resident


def main() -> None:
    with openai_stub() as stub:
        kinds: dict[str, tuple[type[Service], dict[str, str]]] = {
            "bare Flask": (Floor, {}),
            "local embedder": (Service, {}),
            "OpenAI": (Service, on_openai(stub)),
        }
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in [*kinds, "import mem0"]}
        for _ in range(ROUNDS):
            for name, (kind, settings) in kinds.items():
                found[name].append(started(kind, settings))
            found["import mem0"].append(import_of_mem0())
        for name, each in found.items():
            seconds, *memory = map(median, zip(*each, strict=True))
            print(f"{name}: {seconds:.2f} s, MB: {', '.join(f'{mb:.0f}' for mb in memory)}")


if __name__ == "__main__":
    main()
