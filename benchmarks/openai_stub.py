#!/usr/bin/env python3
"""A fast stand-in for OpenAI's API, so that a benchmark measures the service that calls it.

    .venv/bin/python benchmarks/openai_stub.py PORT

One asyncio protocol on the standard library; a call costs it some 50 microseconds. Embeddings
are unit vectors of 384 numbers, base64 or floats as asked for, alike where texts share words;
a chat gives one fact: the last new message of mem0's extraction prompt. GET /stats counts;
POST /control sets embed_ms and chat_ms, and resets the counters.
"""

import asyncio
import base64
import functools
import hashlib
import json
import random
import re
import struct
import sys
from typing import Any

SIZE = 384
VARIANTS = 256
NEW = re.compile(r"## New Messages\n(.*?)(?:\n## |\n# Output|\Z)", re.DOTALL)

settings = {"embed_ms": 0.0, "chat_ms": 0.0}
stats = {"embedding_calls": 0, "texts": 0, "chats": 0}


@functools.cache
def coordinates() -> list[list[float]]:
    random.seed(1)
    return [[random.gauss(0, 1) for _ in range(VARIANTS)] for _ in range(SIZE)]


@functools.lru_cache(100_000)
def places(word: str) -> tuple[int, ...]:
    return struct.unpack(f"<{SIZE}H", hashlib.shake_128(word.encode()).digest(2 * SIZE))


@functools.lru_cache(20_000)
def vector(text: str) -> list[float]:
    """By a MinHash over the words: the cosine is about the share of words in common."""
    words = set(re.findall(r"\w+", text.lower())) or {text}
    least = map(min, zip(*map(places, words), strict=True))
    numbers = [row[place % VARIANTS] for row, place in zip(coordinates(), least, strict=True)]
    norm = sum(number * number for number in numbers) ** 0.5
    return [number / norm for number in numbers]


@functools.lru_cache(20_000)
def encoded(text: str, form: str) -> str:
    if form == "base64":
        return json.dumps(base64.b64encode(struct.pack(f"<{SIZE}f", *vector(text))).decode())
    return json.dumps(vector(text))


def embeddings(body: dict[str, Any]) -> str:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    stats["embedding_calls"] += 1
    stats["texts"] += len(texts)
    form = body.get("encoding_format", "float")
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{encoded(text, form)}}}'
        for index, text in enumerate(texts)
    )
    usage = '{"prompt_tokens":1,"total_tokens":1}'
    return f'{{"object":"list","data":[{data}],"model":"stub","usage":{usage}}}'


def chat(body: dict[str, Any]) -> str:
    stats["chats"] += 1
    asked = str(body["messages"][-1]["content"])
    found = NEW.search(asked)
    lines = (found.group(1) if found else asked).strip().splitlines()
    text = re.sub(r"^\s*(user|assistant)\s*:\s*", "", lines[-1] if lines else "nothing")
    content = json.dumps({"memory": [{"text": text[:200] or "nothing"}]})
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    head = {"id": "stub", "object": "chat.completion", "created": 0, "model": "stub"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return json.dumps({**head, "choices": [choice], "usage": usage})


def control(body: dict[str, Any]) -> str:
    for name in settings.keys() & body.keys():
        settings[name] = float(body[name])
    stats.update(dict.fromkeys(stats, 0))
    return json.dumps(settings)


def models(_body: dict[str, Any]) -> str:
    names = ("gpt-5-mini", "text-embedding-3-small")
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]})


ROUTES = {
    "/v1/models": (models, ""),
    "/v1/embeddings": (embeddings, "embed_ms"),
    "/v1/chat/completions": (chat, "chat_ms"),
    "/control": (control, ""),
    "/stats": (lambda _: json.dumps(stats), ""),
}


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return
        self.received = rest[size:]
        path = head.split(b" ", 2)[1].decode()
        route, delay = ROUTES[path]
        answer = route(json.loads(rest[:size] or "{}")).encode()
        seconds = settings.get(delay, 0) / 1000
        asyncio.get_running_loop().call_later(seconds, self.write, answer)

    def write(self, answer: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}"
        self.transport.write(head.encode() + b"\r\n\r\n" + answer)  # type: ignore[attr-defined]


async def main() -> None:
    coordinates()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
