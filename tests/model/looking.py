"""What a service has after all that was done to it: its listing, its histories, its intents."""

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.service import Service, wait_for

Memories = dict[str, dict[str, Any]]
Row = Mapping[str, Any]

SETTLED_S = 30  # several beats of the upkeep, on a busy machine


def values(memory: Row) -> dict[str, Any]:
    return {"memory": memory["memory"], **memory["metadata"]}


def listing(service: Service, **scope: str) -> Memories:
    results = service.ask("get_all", **scope)["results"]
    memories = {memory["id"]: memory for memory in results}
    assert len(memories) == len(results), "an id is listed twice"
    return memories


def mistake(rows: Sequence[Row], memory: Row | None) -> str | None:
    """What is wrong with the history of what is now `memory`."""
    events = [row["event"] for row in rows]
    if wrong := broken_chain(rows):
        return wrong
    if memory is None:
        return None if events[-1] == "DELETE" else "is gone without a DELETE"
    return None if rows[-1]["new_memory"] == memory["memory"] else "ends with another text"


def broken_chain(rows: Sequence[Row]) -> str | None:
    """What is wrong with a history, whatever has become of its memory."""
    events = [row["event"] for row in rows]
    if events[:1] != ["ADD"] or "ADD" in events[1:]:
        return "does not begin with its one ADD"
    if "DELETE" in events[:-1]:
        return "goes on after its DELETE"
    if any(old["new_memory"] != new["old_memory"] for old, new in itertools.pairwise(rows)):
        return "leaves something out"
    return None


def histories(database: Path) -> dict[str, list[Row]]:
    """The rows of every memory, as they are in the file."""
    found = defaultdict(list)
    with contextlib.closing(read_only(database)) as connection:
        query = "SELECT memory_id, event, old_memory, new_memory FROM history ORDER BY seq"
        for row in connection.execute(query):
            found[row["memory_id"]].append(row)
    return found


def read_only(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def pending_intents(database: Path) -> int:
    """Those of writes that were done are kept until the store has flushed; they do not count."""
    with contextlib.closing(read_only(database)) as connection:
        columns = {row["name"] for row in connection.execute("PRAGMA table_info(intents)")}
        if not columns:
            return 0
        unfinished = "WHERE NOT done" if "done" in columns else ""
        query = f"SELECT count(*) FROM intents {unfinished}"  # noqa: S608  (no input in it)
        count: int = connection.execute(query).fetchone()[0]
        return count


def intents(database: Path) -> int:
    """All of them, those of writes that were done too."""
    with contextlib.closing(read_only(database)) as connection:
        count: int = connection.execute("SELECT count(*) FROM intents").fetchone()[0]
        return count


def settle(service: Service) -> None:
    """Wait until no write is left of which the service does not know what became of it.

    Those that were done are waited for too: only then the upkeep has met each of them.
    """
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", SETTLED_S)
    wait_for(lambda: intents(service.data_dir / "history.db") == 0, SETTLED_S)


def workers(service: Service) -> list[int]:
    children = ["pgrep", "-P", str(service.process.pid)]
    found = subprocess.run(children, capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def kill(service: Service) -> None:
    """End the service, and its workers with it, before any of them can finish anything."""
    for pid in (service.process.pid, *workers(service)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    service.process.wait(timeout=10)
    wait_for(lambda: not service.listens())
