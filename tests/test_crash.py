"""Killed with SIGKILL at any instant, again and again: nothing lost, doubled or brought back.

Clients write down each request, and whether it was acknowledged before the kill. After the next
start a judge compares that with what the service lists, and with the history. TEST_SEED repeats
the random choices of a run; how the threads interleave is not repeated.
"""

import contextlib
import itertools
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

CLIENTS = 8
USERS = ("ann", "bob", "cat", "dan")
SHARES = {"add": 44, "text": 22, "metadata": 12, "delete": 21, "delete_all": 1}
ROUTES = {"text": "update", "metadata": "update"}
SECONDS_UNTIL_KILLED = (0.3, 1.5)
EVERY_KILLED_START = 6  # in one of so many rounds the next start is killed too
STANDSTILL_S = 0.1
POINTS = "/collections/memories/points"

# Holds the write lock of a history as another process may. Not this process: it would bring the
# write-ahead log into the file when it closes it, which is for the next start to do.
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(60)
"""

Memories = dict[str, dict[str, Any]]
Row = Mapping[str, Any]


# ---------------------------------------------------------------------- what clients do


@dataclass
class Op:
    """One request. `started` and `ended` are numbers in the order in which things happened."""

    kind: str
    user: str
    started: int
    memory_id: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # what an update sets, by field
    texts: list[str] = field(default_factory=list)  # what an add stores
    ids: list[str] = field(default_factory=list)  # what it was told that they are
    ended: float = math.inf  # never, while it is not acknowledged
    status: int | None = None

    @property
    def done(self) -> bool:
        return self.status in (200, 201)

    @property
    def deletes(self) -> bool:
        return self.kind in ("delete", "delete_all")

    def body(self) -> dict[str, Any]:
        match self.kind:
            case "add":
                said = [{"role": "user", "content": text} for text in self.texts]
                return {"messages": said, "user_id": self.user, "infer": False}
            case "text":
                return {"memory_id": self.memory_id, "data": self.values["memory"]}
            case "metadata":
                return {"memory_id": self.memory_id, "metadata": self.values}
            case "delete":
                return {"memory_id": self.memory_id}
        return {"user_id": self.user}


class Clients:
    """Threads that do random things to the memories of a few users, and write down each."""

    def __init__(
        self, service: Service, users: Sequence[str], shares: Mapping[str, int] = SHARES
    ) -> None:
        self.service = service
        self.users = users
        self.shares = shares
        self.ops: list[Op] = []  # append is atomic
        self._clock = itertools.count()  # so is next
        self._known: dict[str, str] = {}  # memories that may be there, and whose they are
        self._lock = threading.Lock()

    def until_killed(self, seed: int) -> None:
        rng = random.Random(seed)
        with contextlib.suppress(httpx.TransportError):
            while True:
                self.act(rng)

    def act(self, rng: random.Random) -> Op:
        op = self._choose(rng)
        self.ops.append(op)
        response = self.service.post(ROUTES.get(op.kind, op.kind), op.body())
        if response.is_success and op.kind == "add":
            op.ids = [memory["id"] for memory in response.json()["results"]]
        op.status, op.ended = response.status_code, next(self._clock)
        self._learn(op)
        return op

    def forget(self) -> list[str]:
        """Do nothing more to the memories known now; their ids."""
        with self._lock:
            ids = list(self._known)
            self._known.clear()
        return ids

    def knows(self, memories: Memories) -> None:
        with self._lock:
            self._known = {id_: memory["user_id"] for id_, memory in memories.items()}

    def _choose(self, rng: random.Random) -> Op:
        [kind] = rng.choices(list(self.shares), list(self.shares.values()))
        with self._lock:
            known = list(self._known.items())
        now = next(self._clock)
        if kind == "delete_all":
            return Op(kind, rng.choice(self.users), now)
        if kind == "add" or not known:
            texts = [f"note {now}.{number}" for number in range(rng.randint(1, 3))]
            return Op("add", rng.choice(self.users), now, texts=texts)
        # Half of the time one of the newest, for threads to meet.
        memory_id, user = rng.choice(known[-6:] if rng.random() < 0.5 else known)
        values = {
            "text": {"memory": f"other {now}"},
            "metadata": {f"key{rng.randrange(3)}": now},
            "delete": {},
        }
        return Op(kind, user, now, memory_id, values[kind])

    def _learn(self, op: Op) -> None:
        with self._lock:
            if op.kind == "add":
                self._known |= dict.fromkeys(op.ids, op.user)
            elif op.kind == "delete" or op.status == 404:
                self._known.pop(op.memory_id, None)


# ---------------------------------------------------------------------- what must hold then


@dataclass
class Life:
    """A memory that was acknowledged, and what was asked of it since."""

    born: Op
    asked: list[Op]

    @property
    def may_be_gone(self) -> bool:
        return any(
            op.deletes and (op.done or op.status is None) and op.ended > self.born.started
            for op in self.asked
        )

    @property
    def must_be_gone(self) -> bool:
        """A delete of it was acknowledged, or somebody was told that it is not there."""
        return any(
            op.status == 404 or (op.deletes and op.done and op.started > self.born.ended)
            for op in self.asked
        )

    def possible(self, name: str) -> list[Any]:
        """What the field may be: of the writes to it, each that no later one has replaced."""
        writes = [self.born]
        writes += [op for op in self.asked if name in op.values and op.status in (200, None)]
        return [
            write.values.get(name)
            for write in writes
            if not any(other.done and other.started > write.ended for other in writes)
        ]

    def fields(self) -> set[str]:
        return {name for op in (self.born, *self.asked) for name in op.values}


class Judge:
    """Holds what clients were told against what is there. `found` has what is wrong, by kind."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = defaultdict(list)
        self.acknowledged: Counter[str] = Counter()
        self.before: Memories = {}
        self.dead: set[str] = set()
        self._misheard: set[str] = set()

    def settle(self, ops: Sequence[Op], after: Memories) -> None:
        """Judge what `ops` have made of the memories; `after` is what the next ones build on."""
        self.acknowledged.update(op.kind for op in ops if op.done)
        for op in ops:
            if op.status not in (None, 200, 201, 404):
                self.found["refused"].append(f"{op} was answered {op.status}")
        lives = self._lives(ops)
        for memory_id, life in lives.items():
            self._settle_one(memory_id, life, after.get(memory_id))
        self._settle_unknown([op for op in ops if op.status is None], lives, after)
        self._settle_halves([op for op in ops if op.kind == "delete_all"], lives, after)
        texts = Counter(memory["memory"] for memory in after.values())
        self.found["doubled"] += [
            f"{text!r} is listed {n} times" for text, n in texts.items() if n > 1
        ]
        self.dead |= lives.keys() - after.keys()
        self.before = after

    def _lives(self, ops: Sequence[Op]) -> dict[str, Life]:
        lives = {
            memory_id: Life(Op("add", memory["user_id"], -1, values=values(memory), ended=-1), [])
            for memory_id, memory in self.before.items()
        }
        for op in ops:
            for memory_id, text in zip(op.ids, op.texts, strict=False):
                lives[memory_id] = Life(replace(op, values={"memory": text}), [])
        of_user = defaultdict(list)
        for op in ops:
            if op.kind == "delete_all":
                of_user[op.user].append(op)
            elif op.memory_id in lives:
                lives[op.memory_id].asked.append(op)
        for life in lives.values():
            life.asked += of_user[life.born.user]
        return lives

    def _settle_one(self, memory_id: str, life: Life, memory: Row | None) -> None:
        if memory is None:
            if not life.may_be_gone:
                self.found["lost"].append(f"{memory_id}: {life}")
            return
        if life.must_be_gone:
            self.found["resurrected"].append(f"{memory_id}: {life}")
            return
        listed = values(memory)
        for name in life.fields() | listed.keys():
            if listed.get(name) not in life.possible(name):
                wanted = f"{name} is {listed.get(name)!r}, not of {life.possible(name)}"
                self.found["lost"].append(f"{memory_id}: {wanted}")

    def _settle_unknown(
        self, unfinished: Sequence[Op], lives: Mapping[str, Life], after: Memories
    ) -> None:
        """Memories that nobody was told of must come from an add that was not answered."""
        texts = set()
        for memory_id, memory in after.items():
            if memory_id in self.dead:
                self.found["resurrected"].append(f"{memory_id} of an earlier round: {memory}")
            elif memory_id not in lives:
                texts.add(memory["memory"])
        for op in unfinished:
            stored = texts & set(op.texts)
            if stored and stored != set(op.texts):
                self.found["halved"].append(f"of {op.texts} only {stored} are there")
            texts -= stored
        self.found["doubled"] += [f"nobody adds {text!r} now, yet it is new" for text in texts]

    def _settle_halves(
        self, delete_alls: Sequence[Op], lives: Mapping[str, Life], after: Memories
    ) -> None:
        """What a delete_all did that was not answered, it did to all memories or to none."""
        for op in delete_alls:
            there = Counter(
                memory_id in after
                for memory_id, life in lives.items()
                if life.born.ended < op.started and [o for o in life.asked if o.deletes] == [op]
            )
            if op.status is None and len(there) > 1:
                self.found["halved"].append(f"{op} left {there[True]}, took {there[False]}")

    def hear(self, memory_id: str, rows: Sequence[Row], memory: Row | None) -> None:
        """The history of one memory, which is now `memory`."""
        wrong = mistake(rows, memory)
        if wrong and memory_id not in self._misheard:  # once is enough
            self._misheard.add(memory_id)
            events = [(row["event"], row["old_memory"], row["new_memory"]) for row in rows]
            self.found["history"].append(f"{memory_id} {wrong}: {events}, {memory}")

    def summary(self) -> str:
        kinds = ("lost", "doubled", "resurrected", "halved", "history", "refused")
        counts = ", ".join(f"{kind} {len(self.found[kind])}" for kind in kinds)
        return f"acknowledged {self.acknowledged.total()}, {counts}"

    def conclude(self) -> None:
        """Fails with the first of every kind of mistake, if there is any."""
        kinds = [
            f"{len(found)} {kind}, such as\n  " + "\n  ".join(found[:5])
            for kind, found in self.found.items()
            if found
        ]
        if kinds:
            pytest.fail("\n".join(kinds), pytrace=False)


def values(memory: Row) -> dict[str, Any]:
    return {"memory": memory["memory"], **memory["metadata"]}


def mistake(rows: Sequence[Row], memory: Row | None) -> str | None:
    """What is wrong with the history of what is now `memory`."""
    events = [row["event"] for row in rows]
    if events[:1] != ["ADD"] or "ADD" in events[1:]:
        return "does not begin with its one ADD"
    if "DELETE" in events[:-1]:
        return "goes on after its DELETE"
    if any(old["new_memory"] != new["old_memory"] for old, new in itertools.pairwise(rows)):
        return "leaves something out"
    if memory is None:
        return None if events[-1] == "DELETE" else "is gone without a DELETE"
    return None if rows[-1]["new_memory"] == memory["memory"] else "ends with another text"


# ---------------------------------------------------------------------- asking, and killing


def listing(service: Service, **scope: str) -> Memories:
    results = service.ask("get_all", **scope)["results"]
    memories = {memory["id"]: memory for memory in results}
    assert len(memories) == len(results), "an id is listed twice"
    return memories


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


def work_until_killed(
    service: Service, clients: Clients, rng: random.Random, qdrant: QdrantServer | None
) -> None:
    """Half of the kills find whoever has written to the store waiting for the history."""
    if qdrant:
        slow_down(qdrant, rng)
    with ThreadPoolExecutor(CLIENTS) as pool:
        seeds = [rng.getrandbits(32) for _ in range(CLIENTS)]
        working = [pool.submit(clients.until_killed, seed) for seed in seeds]
        threading.Event().wait(rng.uniform(*SECONDS_UNTIL_KILLED))
        with history_held(service) if rng.random() < 0.5 else contextlib.nullcontext():
            kill(service)
        for thread in working:
            thread.result()
    service.http.close()
    service.http = httpx.Client(base_url=service.url, timeout=60)
    if qdrant:
        qdrant.clear_faults()
        qdrant.requests.clear()


def slow_down(qdrant: QdrantServer, rng: random.Random) -> None:
    """Writes take a while: before they are carried out, or before that is said."""
    for method, path in (("PUT", POINTS), ("POST", f"{POINTS}/delete")):
        delay, first = rng.uniform(0, 0.1), rng.random() < 0.7
        qdrant.fault(path, method=method, delay=delay, apply_first=first)


@contextlib.contextmanager
def history_held(service: Service) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, str(service.data_dir / "history.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"held\n"
            threading.Event().wait(STANDSTILL_S)
            yield
        finally:
            holder.kill()


def start_again(service: Service, rng: random.Random) -> None:
    if not rng.randrange(EVERY_KILLED_START):
        service.launch()
        threading.Event().wait(rng.uniform(0, 2))
        kill(service)
    service.start()
    wait_for(lambda: service.http.get("/ready").status_code == 200)
    wait_for(lambda: pending_intents(service.data_dir / "history.db") == 0)


def judge_histories(judge: Judge, service: Service, touched: set[str], after: Memories) -> None:
    """Those of `touched` as the service tells them, and all as they are in the file."""
    for memory_id in touched:
        response = service.post("history", {"memory_id": memory_id})
        rows = response.json()["results"] if response.is_success else []
        judge.hear(memory_id, rows, after.get(memory_id))
    in_file = histories(service.data_dir / "history.db")
    for memory_id in (in_file.keys() | after.keys()) - touched:
        judge.hear(memory_id, in_file.get(memory_id, []), after.get(memory_id))


@pytest.mark.parametrize(("store", "rounds"), [("embedded", 25), ("server", 10)])
def test_killed_at_any_instant_it_keeps_what_it_acknowledged_and_nothing_else(
    tmp_path: Path, store: str, rounds: int
) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\n{store}: TEST_SEED={seed}")
    rng = random.Random(seed)
    judge = Judge()
    with contextlib.ExitStack() as stack:
        qdrant = stack.enter_context(QdrantServer()) if store == "server" else None
        settings = {"QDRANT_URL": qdrant.url} if qdrant else {}
        service = stack.enter_context(Service(tmp_path / "data", **settings))
        clients = Clients(service, USERS)
        for _ in range(rounds):
            work_until_killed(service, clients, rng, qdrant)
            start_again(service, rng)
            after = listing(service)
            touched = {id_ for op in clients.ops for id_ in (op.memory_id, *op.ids) if id_}
            touched |= after.keys() - judge.before.keys()
            judge.settle(clients.ops, after)
            judge_histories(judge, service, touched, after)
            clients.ops.clear()
            clients.knows(after)
        judge_histories(judge, service, judge.dead | after.keys(), after)
    print(f"{store}: {rounds} rounds, {judge.summary()}, TEST_SEED={seed}")
    judge.conclude()
    assert {"add", "text", "metadata", "delete"} <= judge.acknowledged.keys()
