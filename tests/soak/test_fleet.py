"""Three processes on one PostgreSQL and one Qdrant: random calls while parts of it fail.

In each round one thing happens: a process is killed, or stopped for longer than its lease, or
nothing that it sends arrives; or PostgreSQL crashes. Then everything is settled, and what is there
is compared with what was acknowledged, whichever process had acknowledged it; of each memory a
legal order of the calls to it is searched for. TEST_SEED repeats the random choices of a run (how
the threads interleave is not repeated); ROUNDS says how many rounds there are.
"""

import os
import random
import threading
from collections import Counter
from pathlib import Path

from tests.model.calls import Clients, Op
from tests.model.judge import Judge
from tests.model.looking import listing
from tests.model.orders import illegal_orders
from tests.soak.fleet import Fleet
from tests.soak.rounds import CLIENTS, SHARES, USERS

ROUNDS = int(os.environ.get("ROUNDS") or 4)  # a lease has to end in nearly each: 20 s or more
PAUSE_S = (0.0, 0.1)  # so that a round of 20 s has not too many calls for one legal order
BEFORE_S = (0.3, 1.5)


class PacedClients(Clients):
    """They give up waiting, and then do not know what became of it."""

    def act(self, rng: random.Random) -> Op:
        threading.Event().wait(rng.uniform(*PAUSE_S))
        return super().act(rng)


def work(fleet: Fleet, clients: Clients, rng: random.Random, what: str) -> None:
    """Ask all the time, while that happens and for a moment before and after."""
    never = threading.Event()
    with clients.working([rng.getrandbits(32) for _ in range(CLIENTS)]):
        never.wait(rng.uniform(*BEFORE_S))
        getattr(fleet, what)(rng, never)
        never.wait(rng.uniform(*BEFORE_S))


def judge_round(judge: Judge, clients: Clients, fleet: Fleet) -> None:
    after = listing(fleet)
    judge.settle(clients.ops, after)
    judge.overhear(clients.ops)
    rows = fleet.histories()
    for memory_id in rows.keys() | judge.lives.keys() | judge.dead:
        judge.hear(memory_id, rows.get(memory_id, []), after.get(memory_id))
    orders = illegal_orders(judge.lives, clients.ops, after, clients.now())
    judge.found["order"] += [f"{memory_id}: {order}" for memory_id, order in orders.items()]
    clients.ops.clear()
    clients.hung.clear()
    clients.knows(after)


def test_what_was_acknowledged_by_any_process_stands(tmp_path: Path) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\nTEST_SEED={seed}")
    rng = random.Random(seed)
    judge, happened = Judge(failures=True), Counter[str]()
    with Fleet.running(tmp_path) as fleet:
        clients = PacedClients(fleet, USERS, SHARES, keyed=0.5)
        kinds: list[str] = []
        for _ in range(ROUNDS):
            kinds = kinds or rng.sample(["kill", "restart_postgresql", "stop", "hang"], 4)
            what = kinds.pop()
            work(fleet, clients, rng, what)
            happened[what] += 1
            fleet.settle()
            judge_round(judge, clients, fleet)
    counts = {name: len(judge.found[name]) for name in (*judge.kinds, "order")}
    print(f"rounds {ROUNDS} {dict(happened)}, operations {judge.asked}, acknowledged ", end="")
    print(f"{judge.acknowledged.total()}, failed {judge.failed.total()}, {counts}")
    judge.conclude()
