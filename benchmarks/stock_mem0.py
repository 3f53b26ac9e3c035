#!/usr/bin/env python3
"""Stock mem0 in a process of its own: mem0.Memory, called from threads. `harness` starts it.

Its embedded Qdrant fails when threads share it, so its vector store takes one call at a time there.
Reads commands as lines of JSON, answers each with one line.
"""

import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.load import Operation, operations, sentence


class Locked:
    """A vector store whose methods run one at a time."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name == "client" or not callable(value):
            return value

        def locked(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return value(*args, **kwargs)

        return locked


class Stock:
    def __init__(self, openai: str, folder: str, qdrant: str = "") -> None:
        os.environ.update(MEM0_TELEMETRY="False", MEM0_DIR=folder, OPENAI_API_KEY="x")
        started = time.perf_counter()
        from mem0 import Memory

        self.import_s = time.perf_counter() - started
        model = {"openai_base_url": openai}
        store: dict[str, Any] = {"embedding_model_dims": 384, "on_disk": True}
        if qdrant:
            from qdrant_client import QdrantClient

            client = QdrantClient(url=qdrant, check_compatibility=False)
            store |= {"client": client, "collection_name": f"mem0-{os.getpid()}"}
        else:
            store["path"] = f"{folder}/qdrant"
        self.memory = Memory.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "embedder": {"provider": "openai", "config": {**model, "embedding_dims": 384}},
                "llm": {"provider": "openai", "config": model},
                "history_db_path": f"{folder}/history.db",
            }
        )
        if not qdrant:
            self.memory.vector_store = Locked(self.memory.vector_store)

    def call(self, operation: Operation) -> Any:
        name, asked = operation
        memory = self.memory
        said = [{"role": "user", "content": asked.get("data", "")}]
        calls: dict[str, Callable[[], Any]] = {
            "add": lambda: memory.add(said, user_id=asked["user_id"], infer=asked["infer"]),
            "search": lambda: memory.search(
                asked["query"], filters={"user_id": asked["user_id"]}, top_k=10
            ),
            "get": lambda: memory.get(asked["memory_id"]),
            "history": lambda: memory.history(asked["memory_id"]),
            "update": lambda: memory.update(asked["memory_id"], text=asked["data"]),
            "delete_all": lambda: memory.delete_all(user_id=asked["user_id"]),
        }
        return calls[name]()

    # ---- commands

    def grow(self, count: int, users: int) -> list[str]:
        adds = [
            ("add", {"data": sentence(n), "user_id": f"user-{n % users}", "infer": False})
            for n in range(count)
        ]
        with ThreadPoolExecutor(8) as pool:
            return [found["results"][0]["id"] for found in pool.map(self.call, adds)]

    def load(self, scenario: str, clients: int, seconds: float, ids: list[str]) -> dict[str, Any]:
        until = time.perf_counter() + seconds
        taken: list[float] = []
        failed: list[str] = []

        def client(number: int) -> None:
            for operation in operations(scenario, number, ids):
                started = time.perf_counter()
                if started > until:
                    return
                try:
                    self.call(operation)
                    taken.append(time.perf_counter() - started)
                except Exception as error:
                    failed.append(type(error).__name__)

        before, started = cpu_s(), time.perf_counter()
        threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - started
        return {
            "taken": taken,
            "failed": failed,
            "cpu_s": cpu_s() - before,
            "elapsed": elapsed,
        }

    def timed(self, name: str, asked: dict[str, Any]) -> float:
        started = time.perf_counter()
        self.call((name, asked))
        return time.perf_counter() - started

    def search_all(self, texts: list[str], threads: int) -> int:
        asked = [("search", {"query": text, "user_id": "user-1"}) for text in texts]
        with ThreadPoolExecutor(threads) as pool:
            return len([*pool.map(self.call, asked)])

    def start(self) -> float:
        return self.import_s


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    logging.disable(logging.CRITICAL)
    stock = Stock(*sys.argv[1:])
    print(json.dumps(stock.start()), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(stock, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
