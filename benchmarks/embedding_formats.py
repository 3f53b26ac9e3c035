#!/usr/bin/env python3
"""What one embedding call costs this process, by float and by base64.

    .venv/bin/python benchmarks/embedding_formats.py

The openai library against the stand-in in a process of its own; CPU time of this process
alone, the two formats in turn, so that a slow spell of the machine hits both.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.service import free_port, wait_for  # noqa: E402

ROUNDS = 200


def main() -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.openai", "--port", str(port)], cwd=ROOT
    )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        wait_for(lambda: answers(url))
        client = openai.OpenAI(api_key="sk-x", base_url=url)
        for size in (1, 16):
            costs: dict[str, list[float]] = {"float": [], "base64": []}
            for _ in range(ROUNDS):
                for form, spent in costs.items():
                    spent.append(cpu_ms(client, size, form))
            by_float, by_base64 = (statistics.median(spent) for spent in costs.values())
            print(
                f"{size} texts of 1536 dimensions: float {by_float:.2f} CPU ms, "
                f"base64 {by_base64:.2f} CPU ms, ratio {by_base64 / by_float:.2f}"
            )
    finally:
        server.terminate()
        server.wait()


def cpu_ms(client: openai.OpenAI, size: int, form: str) -> float:
    texts = [f"a text about tea, number {n}" for n in range(size)]
    # Left out, the library asks for base64 and decodes it; that is what the service does.
    wanted = {"encoding_format": "float"} if form == "float" else {}
    started = time.process_time()
    client.embeddings.create(model="text-embedding-3-small", input=texts, **wanted)  # type: ignore[call-overload]
    return (time.process_time() - started) * 1000


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
