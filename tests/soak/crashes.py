"""Killed with SIGKILL at any instant, again and again: nothing lost, doubled or brought back.

Clients write down each request, and whether it was acknowledged before the kill. After the next
start a judge compares that with what the service lists, and with the history. TEST_SEED repeats
the random choices of a run; how the threads interleave is not repeated. ROUNDS says how many kills
there are on each store.
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.model.calls import Clients
from tests.model.judge import Judge
from tests.model.looking import Memories, histories, kill, listing, pending_intents
from tests.servers.program import QdrantProgram
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for
from tests.soak.rounds import ROUNDS

Store = QdrantServer | QdrantProgram | None

CLIENTS = 8
USERS = ("ann", "bob", "cat", "dan")
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


# ---------------------------------------------------------------------- asking, and killing


def work_until_killed(
    service: Service, clients: Clients, rng: random.Random, qdrant: Store
) -> None:
    """Half of the kills find whoever has written to the store waiting for the history. A real
    Qdrant is killed too, every other time."""
    if isinstance(qdrant, QdrantServer):
        slow_down(qdrant, rng)
    with ThreadPoolExecutor(CLIENTS) as pool:
        seeds = [rng.getrandbits(32) for _ in range(CLIENTS)]
        working = [pool.submit(clients.until_killed, seed) for seed in seeds]
        threading.Event().wait(rng.uniform(*SECONDS_UNTIL_KILLED))
        with history_held(service) if rng.random() < 0.5 else contextlib.nullcontext():
            kill(service)
        for thread in working:
            thread.result()
    service.reconnect()
    if isinstance(qdrant, QdrantServer):
        qdrant.clear_faults()
        qdrant.requests.clear()
    elif qdrant and rng.random() < 0.5:
        qdrant.kill()
        qdrant.start()


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
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
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


def opened(store: str, folder: Path) -> Store:
    if store == "embedded":
        return None
    return QdrantProgram(folder / "qdrant") if "program" in store else QdrantServer(grpc=True)


def keep_killing(folder: Path, store: str, rounds: int) -> Judge:
    """What it found is for the caller to `conclude`."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\n{store}: TEST_SEED={seed}")
    rng = random.Random(seed)
    judge = Judge()
    with contextlib.ExitStack() as stack:
        settings = {}
        if qdrant := opened(store, folder):
            stack.enter_context(qdrant)
            settings = {
                "QDRANT_URL": qdrant.url,
                "QDRANT_GRPC": "on" if "gRPC" in store else "off",
                "QDRANT_GRPC_PORT": str(qdrant.grpc_port),
            }
        service = stack.enter_context(Service(folder / "data", **settings))
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
    return judge


def check_kills(folder: Path, store: str) -> None:
    """As many as ROUNDS, with calls of every kind acknowledged before them."""
    judge = keep_killing(folder, store, ROUNDS)
    judge.conclude()
    if ROUNDS >= 10:  # in fewer it is a matter of luck
        assert {"add", "text", "metadata", "delete"} <= judge.acknowledged.keys()
