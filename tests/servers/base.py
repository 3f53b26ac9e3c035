"""What the stand-ins share: the HTTP server, the record of requests, the faults, the vectors."""

import argparse
import functools
import hashlib
import json
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np

Json = Any
Reply = str | list[str] | Callable[[dict[str, Any]], str]

FOREVER = 10**8


class ConnectionDropped(Exception):
    """End the connection without an answer."""


@dataclass
class Request:
    """One request as it came in; `status` and `answer` are filled in when it is answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json
    body_bytes: bytes
    status: int | None = None
    answer: bytes = b""

    @property
    def malformed(self) -> bool:
        return bool(self.body_bytes.strip()) and self.body is None


@dataclass
class Answer:
    """A `body` of bytes, or the chunks of a stream."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Self:
        """Text and bytes go out as they are, anything else as JSON."""
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = as_json(body)
        return cls(status, body, {"Content-Type": kind, **(headers or {})})


@dataclass(eq=False)
class Fault:
    """Something to do instead of, or before, answering; see `StubServer.fault`."""

    server: "StubServer"
    path_prefix: str
    method: str | None
    status: int | None
    body: Json
    headers: dict[str, str]
    delay: float
    drop: bool
    raw: bytes | str | None
    apply_first: bool
    hang: bool
    times: int | None
    cleared: bool = False

    def clear(self) -> None:
        self.server._remove(self)

    def matches(self, request: Request) -> bool:
        return self.method in (None, request.method) and request.path.startswith(self.path_prefix)

    def replacement(self) -> Answer | None:
        """What is answered instead of the truth, if anything."""
        if self.raw is not None:
            content = self.raw.encode() if isinstance(self.raw, str) else self.raw
            return Answer.of(content, 200, self.headers)
        if self.status is None:
            return None
        if self.body is None:
            answer = self.server.error(self.status)
            return Answer(answer.status, answer.body, {**answer.headers, **self.headers})
        return Answer.of(self.body, self.status, self.headers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "Listener"

    def serve(self) -> None:
        request = self.read_request()
        try:
            self.write_answer(request, self.server.stub._respond(request))
        except (ConnectionDropped, ConnectionError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def read_request(self) -> Request:
        target = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            method=self.command,
            path=unquote(target.path),
            query=dict(parse_qsl(target.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=parse_json(content),
            body_bytes=content,
        )
        self.server.stub.requests.append(request)
        return request

    def write_answer(self, request: Request, answer: Answer) -> None:
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            request.answer = answer.body
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.write_stream(request, answer.body)
        self.wfile.flush()

    def write_stream(self, request: Request, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            request.answer += chunk
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        """Tests are quiet; what came in is in `StubServer.requests`."""


class Listener(ThreadingHTTPServer):
    """One life of a stand-in, from start() to stop(). It knows the open connections, because a
    server that is down has closed those too."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, stub: "StubServer", address: tuple[str, int]) -> None:
        self.stub = stub
        self.connections: set[socket.socket] = set()
        self.connections_lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own looks the host name up, which can be slow
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.connections_lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.connections_lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self.connections_lock:
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | ValueError):
            super().handle_error(request, client_address)


class StubServer:
    """A threaded HTTP/1.1 server on 127.0.0.1. A subclass says how it answers (`answer`) and how
    its errors look (`error`).

    After stop() connections are refused and open ones closed; start() comes back on the same port.
    """

    def __init__(
        self, port: int = 0, *, host: str = "127.0.0.1", api_key: str | None = None
    ) -> None:
        self.host = host
        self.port = port
        self.api_key = api_key
        self.requests: list[Request] = []  # append and clear are atomic, so no lock
        self._faults: list[Fault] = []
        self._listener: Listener | None = None
        self._changed = threading.Condition()
        self._life = 0

    # ------------------------------------------------------------------ up and down

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self._listener is not None

    def start(self) -> Self:
        if self._listener is None:
            self._listener = Listener(self, (self.host, self.port))
            self.port = self._listener.server_port
            threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with self._changed:
            self._life += 1
            self._changed.notify_all()
        listener.shutdown()
        listener.server_close()
        listener.close_connections()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # ------------------------------------------------------------------ what came in

    def count(self, path_prefix: str = "/", method: str | None = None) -> int:
        return sum(
            request.path.startswith(path_prefix) and method in (None, request.method)
            for request in list(self.requests)
        )

    def wait_for(self, count: int, path_prefix: str = "/", timeout: float = 10.0) -> bool:
        """Wait until that many requests have come in, answered or not."""
        deadline = time.monotonic() + timeout
        while self.count(path_prefix) < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    # ------------------------------------------------------------------ faults

    def fault(
        self,
        path_prefix: str = "/",
        *,
        method: str | None = None,
        status: int | None = None,
        body: Json = None,
        headers: dict[str, str] | None = None,
        delay: float = 0.0,
        hang: bool = False,
        drop: bool = False,
        raw: bytes | str | None = None,
        times: int | None = None,
        apply_first: bool = False,
    ) -> Fault:
        """Misbehave on the paths that begin so. The newest fault that matches is the one used.

        status       answer this; `body` is the service's own error unless given
        raw          answer 200 with these bytes as the JSON body
        delay        wait, then answer; stop() drops the request, clear() answers it at once
        hang         hold the connection, then drop it at stop() or clear()
        drop         close the connection without an answer
        times        only the next n matching requests
        apply_first  carry the request out first: only the answer is late, wrong or missing
        """
        with self._changed:
            fault = Fault(
                server=self,
                path_prefix=path_prefix,
                method=method,
                status=status,
                body=body,
                headers=headers or {},
                delay=delay,
                hang=hang,
                drop=drop,
                raw=raw,
                times=times,
                apply_first=apply_first,
            )
            self._faults.insert(0, fault)
        return fault

    def clear_faults(self) -> None:
        for fault in list(self._faults):
            fault.clear()

    def _remove(self, fault: Fault) -> None:
        with self._changed:
            fault.cleared = True
            if fault in self._faults:
                self._faults.remove(fault)
            self._changed.notify_all()

    def _take_fault(self, request: Request) -> Fault | None:
        with self._changed:
            for fault in self._faults:
                if fault.matches(request) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1  # at zero it stays listed, so that clear() wakes it
                    return fault
        return None

    def pause(self, seconds: float, fault: Fault | None = None) -> None:
        """Sleep; a cleared fault ends it early, a stopped server ends the request."""
        with self._changed:
            life = self._life
            self._changed.wait_for(
                lambda: self._life != life or (fault is not None and fault.cleared), seconds
            )
            if self._life != life:
                raise ConnectionDropped

    # ------------------------------------------------------------------ answering

    def _respond(self, request: Request) -> Answer:
        fault = self._take_fault(request)
        if fault is None:
            return self._perform(request)
        truth = self._perform(request) if fault.apply_first else None
        if fault.delay or fault.hang:
            self.pause(FOREVER if fault.hang else fault.delay, fault)
        if fault.drop or fault.hang:
            raise ConnectionDropped
        instead = fault.replacement()
        if instead is not None:
            return instead
        answer = truth or self._perform(request)
        answer.headers.update(fault.headers)
        return answer

    def _perform(self, request: Request) -> Answer:
        try:
            return self.refusal(request) or self.answer(request)
        except ConnectionDropped:
            raise
        except Exception as error:
            traceback.print_exc()
            return self.error(500, f"{type(error).__name__}: {error}")

    def refusal(self, request: Request) -> Answer | None:
        """The answer to a request without the right key; None lets it pass."""
        if self.api_key is None or request.headers.get("authorization") == f"Bearer {self.api_key}":
            return None
        return self.error(401)

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def error(self, status: int, message: str | None = None) -> Answer:
        """An error as the service words it."""
        raise NotImplementedError


class ModelServer(StubServer):
    """What the two model providers have in common.

    `reply` is what the model says: a text, a list of texts used in turn (the last one stays), or a
    function of the request. Unset, it extracts one memory: what the user said last.
    """

    dimensions: int

    def __init__(self, port: int = 0, **options: Any) -> None:
        super().__init__(port, **options)
        self._reply: Reply | None = None
        self._reply_lock = threading.Lock()

    @property
    def reply(self) -> Reply | None:
        return self._reply

    @reply.setter
    def reply(self, reply: Reply | None) -> None:
        with self._reply_lock:
            self._reply = list(reply) if isinstance(reply, list) else reply

    def next_reply(self, body: dict[str, Any]) -> str:
        with self._reply_lock:
            reply = self._reply
            if isinstance(reply, list):
                return reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            return reply(body)
        return extraction(body["messages"]) if reply is None else reply


def extraction(messages: list[dict[str, Any]]) -> str:
    """What mem0 asks of the model, with the last thing the user said as the only memory."""
    said = [text_of(message) for message in messages if message.get("role") == "user"]
    memory = {"id": "0", "text": new_message(said[-1] if said else ""), "attributed_to": "user"}
    return json.dumps({"memory": [memory] if memory["text"] else []}, ensure_ascii=False)


def new_message(prompt: str) -> str:
    """mem0's prompt puts the new messages, one "role: text" each, under a heading."""
    found = re.search(r"^## New Messages\n(.*?)(?=\n\n## |\n\n# Output:|\Z)", prompt, re.S | re.M)
    if found is None:
        return prompt.strip()
    parts = re.split(r"^(user|assistant|system): ", found[1], flags=re.M)
    turns = list(zip(parts[1::2], parts[2::2], strict=True))
    by_user = [text for role, text in turns if role == "user"]
    return (by_user or [text for _, text in turns] or [found[1]])[-1].strip()


def text_of(message: dict[str, Any]) -> str:
    """The text of a message whose content may be a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def as_json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parse_json(content: bytes) -> Json:
    """None for nothing and for what is no JSON; NaN is none either, though Python takes it."""
    try:
        return json.loads(content, parse_constant=_refuse) if content.strip() else None
    except ValueError:
        return None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def count_tokens(text: str) -> int:
    """Roughly: four letters, or one Chinese, Japanese or Korean character, are a token."""
    wide = sum(character >= "\u2e80" for character in text)
    return wide + (len(text) - wide) // 4


# ---------------------------------------------------------------------- vectors

WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{WIDE}]|[^\W{WIDE}]+")


def embed(text: str, size: int) -> list[float]:
    """A hashed bag of words of unit length: texts that share words are near each other.

    The values are exact in 32 bits, so every encoding of a vector is the same vector.
    """
    vector = np.zeros(size)
    for word in WORD.findall(text.lower()) or [text]:
        for position, sign in places(word):
            vector[position % size] += sign
    if not vector.any():  # words can cancel out in a very small vector
        vector[0] = 1.0
    unit: list[float] = (vector / np.linalg.norm(vector)).astype(np.float32).tolist()
    return unit


@functools.lru_cache(maxsize=65536)
def places(word: str) -> list[tuple[int, int]]:
    """Where a word lands: in four places, so that one collision does not make two words equal."""
    digest = hashlib.md5(word.encode(errors="replace"), usedforsecurity=False).digest()
    numbers = [int.from_bytes(digest[start : start + 4]) for start in range(0, 16, 4)]
    return [(number >> 1, 1 if number & 1 else -1) for number in numbers]


# ---------------------------------------------------------------------- as a program


def run(kind: Callable[..., StubServer], port: int) -> None:
    """Serve until a signal: `python -m tests.servers.qdrant --port 6333 --host 0.0.0.0`."""
    parser = argparse.ArgumentParser(description=kind.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--api-key")
    options = parser.parse_args()
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    with kind(options.port, host=options.host, api_key=options.api_key) as server:
        print(f"{type(server).__name__} on {server.url}", flush=True)
        end.wait()


def ndjson(lines: Iterable[Json]) -> Iterator[bytes]:
    for line in lines:
        yield as_json(line) + b"\n"
