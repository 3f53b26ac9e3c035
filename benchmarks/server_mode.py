#!/usr/bin/env python3
"""Round trips and bytes of each route on a Qdrant server and OpenAI, as their stand-ins count.

.venv/bin/python benchmarks/server_mode.py
"""

import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers.base import StubServer  # noqa: E402
from tests.servers.openai import OpenAIServer  # noqa: E402
from tests.servers.qdrant import QdrantServer  # noqa: E402
from tests.service import Service, wait_for  # noqa: E402


def counted(server: StubServer) -> str:
    sent = sum(len(request.body_bytes) for request in server.requests)
    got = sum(len(request.answer) for request in server.requests)
    return f"{len(server.requests)} | {sent:,} | {got:,}"


def main() -> None:
    with OpenAIServer() as openai, QdrantServer() as qdrant, tempfile.TemporaryDirectory() as tmp:
        openai.reply = json.dumps({"memory": [{"text": f"fact {n}"} for n in range(3)]})
        settings = {
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_BASE_URL": f"{openai.url}/v1",
            "QDRANT_URL": qdrant.url,
        }
        with Service(Path(tmp) / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            mine = service.ask("add", data="I like tea", user_id="a", infer=False)["result"]
            routes = [
                ("add, infer=false", "add", {"data": "tea", "user_id": "a", "infer": False}),
                ("add, infer=true, 3 facts", "add", {"data": "tea", "user_id": "b"}),
                ("search", "search", {"query": "tea", "user_id": "a"}),
                ("get_all", "get_all", {"user_id": "a"}),
                ("get", "get", {"memory_id": mine}),
                ("update, text", "update", {"memory_id": mine, "data": "coffee"}),
                ("update, metadata", "update", {"memory_id": mine, "metadata": {"a": 1}}),
                ("history", "history", {"memory_id": mine}),
                ("delete", "delete", {"memory_id": mine}),
                ("delete_all, 3", "delete_all", {"user_id": "b"}),
                ("reset", "reset", {}),
            ]
            print("| route | Qdrant calls | bytes to | from | OpenAI calls | bytes to | from |")
            print("|---|---|---|---|---|---|---|")
            for name, route, body in routes:
                # Other callers of the stand-ins are done: /ready asks only when it is asked.
                time.sleep(0.1)
                qdrant.requests.clear()
                openai.requests.clear()
                service.ask(route, **body)
                print(f"| {name} | {counted(qdrant)} | {counted(openai)} |")


if __name__ == "__main__":
    main()
