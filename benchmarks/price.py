#!/usr/bin/env python3
"""The price of what stands on the hot path: CPU us of a get and of an add, with and without it.

    .venv/bin/python benchmarks/price.py

In process, where figures are steadiest: the app is called through WSGI, without gunicorn and a
client. Embedded engine, 384 numbers a vector, an embedder that costs nothing. All in turn, the
least of ROUNDS rounds each. One call to metrics and to a key alone: observing.py, keys.py.
"""

import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from flask import Flask  # noqa: E402

from app import create_app  # noqa: E402
from app.config import Settings, prepare_environment  # noqa: E402
from app.security.keys import Keys, new_key_id  # noqa: E402
from app.security.principal import Principal  # noqa: E402

prepare_environment(Path(tempfile.mkdtemp()))


from app.embeddings import EmbedderInfo  # noqa: E402
from app.memory.service import MemoryService  # noqa: E402
from app.storage.history.database import Database  # noqa: E402
from app.storage.history.rows import History  # noqa: E402
from app.storage.history.sqlite import SQLite  # noqa: E402
from app.storage.journal.journal import Journal  # noqa: E402
from app.storage.vectors.edge import EdgeStore  # noqa: E402
from benchmarks.floor import app as bare  # noqa: E402
from benchmarks.journal import NoJournal  # noqa: E402

ADMIN = "an-admin-key-of-the-benchmark-0123456789"
ROUNDS = 15
TIMES = {"get": 200, "add": 60}
TRACEPARENT = f"00-{'4b' * 16}-{'f0' * 8}-01"

Headers = dict[str, str]
Around = Callable[[], AbstractContextManager[Any]]


class Same:
    """The same vector for every text."""

    info = EmbedderInfo("test/same", 384)

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return self.embed_batch([text])[0]

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        return [[0.05] * 384 for _ in texts]


class Measured:
    """An app, and how it is called."""

    def __init__(
        self, app: Flask, headers: Headers | None = None, around: Around = nullcontext
    ) -> None:
        self.app = app
        self.headers = headers or {}
        self._around = around
        self.level = logging.INFO
        self.us: dict[str, list[float]] = {route: [] for route in TIMES}
        self.id = ""

    def call(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(body).encode()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": f"/memory/{route}",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "wsgi.input": io.BytesIO(raw),
            "wsgi.url_scheme": "http",
            **{f"HTTP_{name.upper().replace('-', '_')}": v for name, v in self.headers.items()},
        }
        status: list[str] = []
        with self._around():
            answer = self.app.wsgi_app(environ, lambda line, *_: status.append(line))
            found: dict[str, Any] = json.loads(b"".join(answer))
        if status[0][0] != "2":
            raise RuntimeError(status, found)
        return found

    def measure(self, route: str) -> None:
        body = {"memory_id": self.id} if route == "get" else {"data": "I like tea", "user_id": "a"}
        logging.getLogger("app").setLevel(self.level)
        started = time.process_time()
        for _ in range(TIMES[route]):
            self.call(route, body)
        self.us[route].append((time.process_time() - started) / TIMES[route] * 1e6)


def service(folder: Path, kind: type[Journal]) -> MemoryService:
    store = EdgeStore(folder / "qdrant")
    database = Database(SQLite(folder / "history.db"))
    history = History(database)
    journal = kind(database, folder / "processes", flushes=True)
    return MemoryService(store, history, journal, Same())


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)

        def app(name: str, kind: type[Journal] = Journal, **settings: Any) -> Flask:
            (root / name).mkdir()
            chosen = Settings(data_dir=root / name, log_level="WARNING", **settings)
            return create_app(chosen, service(root / name, kind))

        user = Keys(ADMIN).mint(Principal(new_key_id(), {"user_id": "a"}), time.time() + 3600)
        shipped, locked = app("shipped"), app("locked", admin_api_key=ADMIN)
        rows = {
            "as shipped": Measured(shipped),
            "without a line in the log": Measured(shipped),
            "with a traceparent": Measured(shipped, {"traceparent": TRACEPARENT}),
            "with the admin key": Measured(locked, {"Authorization": f"Bearer {ADMIN}"}),
            "with a user's key": Measured(locked, {"Authorization": f"Bearer {user}"}),
            "with RATE_LIMIT": Measured(app("limited", rate_limit="1000000/second")),
            "without the journal": Measured(app("hoping", NoJournal)),
        }
        rows["without a line in the log"].level = logging.WARNING
        logging.getLogger().handlers[0].setStream(io.StringIO())  # type: ignore[attr-defined]
        for row in rows.values():
            row.id = row.call("add", {"data": "I like tea", "user_id": "a"})["result"]
        floor = Measured(bare)
        for _ in range(ROUNDS):
            for route in TIMES:
                for row in rows.values():
                    row.measure(route)
            floor.measure("get")
        print(f"bare Flask handler: {min(floor.us['get']):.0f} us")
        print("| | get, CPU us | add, infer=false, CPU us |")
        print("|---|---|---|")
        for name, row in rows.items():
            print(f"| {name} | {min(row.us['get']):.0f} | {min(row.us['add']):.0f} |")
        for one in {id(row.app): row.app for row in rows.values()}.values():
            one.extensions["memory"].close()


if __name__ == "__main__":
    main()
