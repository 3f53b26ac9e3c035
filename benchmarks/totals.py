#!/usr/bin/env python3
"""What the catalogue of a fleet costs: counting in it, filling it, and one more row of a write.

    .venv/bin/python benchmarks/totals.py [MEMORIES [USERS]]

PostgreSQL with fsync and its own settings, a catalogue of MEMORIES (default 200,000) of USERS
(default 4,000), one in ten with a date of expiry, each in one of ten runs. Counting is the median
of 11, in ms. Filling is that of a tenth as many memories in the stand-in for Qdrant; CPU is that of
the service's part alone. The row of a write is
the difference between intents that are finished with it and without, 2,000 each, in turn.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from qdrant_client import QdrantClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.config import prepare_environment

prepare_environment(Path(tempfile.mkdtemp()))

from app.memory.cataloguing import Cataloguing  # noqa: E402
from app.storage.history.catalogue import Catalogue  # noqa: E402
from app.storage.history.database import Database  # noqa: E402
from app.storage.history.filling import Filling  # noqa: E402
from app.storage.history.intents import Intents  # noqa: E402
from app.storage.history.messages import Messages  # noqa: E402
from app.storage.history.postgresql import PostgreSQL  # noqa: E402
from app.storage.history.together import Finished, NewIntent  # noqa: E402
from app.storage.journal.journal import Journal  # noqa: E402
from app.storage.journal.liveness import FileLocks  # noqa: E402
from app.storage.journal.writer import Writer  # noqa: E402
from app.storage.payloads import Payload, history_row, new_id, new_payload  # noqa: E402
from app.storage.vectors.server import Options, ServerStore  # noqa: E402
from app.storage.vectors.server.connection import Connection  # noqa: E402
from tests.filling import LOCAL, fill  # noqa: E402
from tests.servers.postgresql import PostgreSQLServer  # noqa: E402
from tests.servers.qdrant import QdrantServer  # noqa: E402

TIMES = 11
FINISHED = 2_000
AT_ONCE = 5_000


def payload(number: int, users: int) -> Payload:
    scope = {"user_id": f"user-{number % users}", "run_id": f"run-{number // users % 10}"}
    return new_payload("tea", scope, {"expiration_date": "2020-02-02"} if number % 10 == 0 else {})


def fill_catalogue(filling: Filling, memories: int, users: int) -> None:
    for start in range(0, memories, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, memories))
        filling.bring({new_id(): payload(number, users) for number in numbers})
    filling.claim("benchmark", None)
    filling.complete("benchmark")


def took(work: Callable[[], Any]) -> str:
    """Milliseconds."""
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return f"{median(seconds) * 1000:.1f}"


def counting(memories: Catalogue) -> None:
    one: Mapping[str, str] = {"user_id": "user-7"}
    asked: dict[str, Callable[[bool], Any]] = {
        "total of a user": lambda every: memories.total({**one}, show_expired=every),
        "total of a run of many users": lambda every: memories.total(
            {"run_id": "run-3"}, show_expired=every
        ),
        "total of all": lambda every: memories.total({}, show_expired=every),
        "the first 1,000 users": lambda every: memories.values(
            "user_id", {}, 1000, show_expired=every
        ),
        "all users": lambda every: memories.values("user_id", {}, 1_000_000, show_expired=every),
        "all agents, of which there are none": lambda every: memories.values(
            "agent_id", {}, 1_000_000, show_expired=every
        ),
    }
    print("| ms | without the expired | with them |")
    print("|---|---|---|")
    for name, ask in asked.items():
        figures = [took(lambda every=every, ask=ask: ask(every)) for every in (False, True)]
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


def filling_up(database: Database, folder: Path, memories: int) -> None:
    with QdrantServer() as qdrant:
        client = QdrantClient(url=qdrant.url, check_compatibility=False)
        store = ServerStore(Connection.by(client), "memories", Options(shared=True))
        store.prepare(LOCAL)
        fill(store, memories, "tea", {"user_id": "user-7"})
        journal = Journal(database, FileLocks(folder), flushes=False, shared=True, catalogued=True)
        writer = Writer(store, Messages(database), journal)
        filling = Filling(database)
        work = Cataloguing(store, writer, Catalogue(database), filling)
        for kind in ("which knows none of them", "which knows all of them"):
            filling.begin_again()
            filling.claim(journal.process, filling.progress().process)
            before = time.thread_time()
            while work.look_at_some():
                pass
            cpu = (time.thread_time() - before) / memories * 1e6
            print(f"{memories} memories, a catalogue {kind}: {cpu:.0f} us of CPU for each")
        journal.close()


def finishing(database: Database) -> None:
    took_s = {True: 0.0, False: 0.0}
    for number in range(2 * FINISHED):
        catalogued = bool(number % 2)
        intents = Intents(database, catalogued=catalogued)
        id_, made = new_id(), payload(number, 100)
        rows = [history_row("ADD", id_, None, made)]
        begun = intents.begin("p", NewIntent(id_, 2, "{}"))
        before = time.thread_time()
        intents.finish(Finished(begun, rows, leaves={id_: made}), keep=False)
        took_s[catalogued] += time.thread_time() - before
    with_it, without = (took_s[which] / FINISHED * 1000 for which in (True, False))
    print(f"to finish an intent: {without:.2f} ms of CPU, with its row {with_it:.2f}")


def main() -> None:
    memories = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    users = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000
    with (
        tempfile.TemporaryDirectory() as tmp,
        PostgreSQLServer(fsync="on", shared_buffers="128MB") as server,
        closing(Database(PostgreSQL(url := server.database(), 4))) as database,
        closing(Database(PostgreSQL(server.database(), 4))) as other,
    ):
        fill_catalogue(Filling(database), memories, users)
        server.sql(url, "VACUUM ANALYZE")  # as the server does by itself within a minute
        counting(Catalogue(database))
        filling_up(other, Path(tmp), memories // 10)
        finishing(database)


if __name__ == "__main__":
    main()
