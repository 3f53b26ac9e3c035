"""Random calls of many clients while things fail and come back, round after round.

At the end of each round everything is settled, and compared with what each acknowledged call must
have left; of each memory a legal order of the calls to it is searched for. A call that was
answered with a failure may have taken place, at any time after it was made, once, and with its
row in the history.

TEST_SEED repeats the random choices of a run; how the threads interleave is not repeated.
"""

import errno
import os
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.model.calls import Clients
from tests.model.judge import Judge
from tests.model.looking import histories, listing, settle
from tests.model.orders import illegal_orders
from tests.servers.qdrant import QdrantServer
from tests.service import Service
from tests.soak.deployment import LASTING, POINTS, Deployment
from tests.soak.rounds import CLIENTS, SHARES, USERS

KEYED = 0.5
FAULTS_A_ROUND = (2, 5)
FAULT_S = (0.05, 0.3)
KILLED = 3  # every so many rounds end so
MISTAKES = {  # as they are printed
    "lost": "lost",
    "doubled": "doubled",
    "resurrected": "brought back",
    "history": "broken histories",
    "halved": "halved",
    "order": "without a legal order",
    "differing": "replicas that differ",
    "refused": "refused",
    "hung": "hung",
    "unsettled": "not settled",
}


class FailingAtRandom(Deployment):
    flush_s = 0.7  # longer than most faults, so that much is asked before they are settled

    def fail(self, rng: random.Random) -> None:
        """Something, for the next few calls."""
        faults: list[Callable[[random.Random], None]] = [
            self._history,
            self._history,
            self._vectors,
        ]
        if self.nodes:
            faults = [self._history, self._answers, self._answers, self._refusals]
        rng.choice(faults)(rng)

    def _history(self, rng: random.Random) -> None:
        calls, after = rng.choice([("sync", 8), ("write", 80)])
        self.disk.fail(
            "history",
            calls,
            times=rng.choice([1, 2, 3, LASTING]),
            after=rng.randrange(after),
            with_errno=rng.choice([errno.EIO, errno.ENOSPC]),
        )

    def _vectors(self, rng: random.Random) -> None:
        """The engine writes through mapped memory: what can fail is to bring that to the disk,
        and that there is no room before it writes."""
        calls = rng.choice([["write", "sync", "msync"], ["room"]])
        self.disk.fail("vectors", *calls, times=rng.randint(1, 6), after=rng.randrange(20))

    def _answers(self, rng: random.Random) -> None:
        """Writes that are carried out, or not, and are answered late, or wrong, or not at all."""
        node = rng.choice(self.nodes)
        how: dict[str, Any] = rng.choice(
            [
                {"delay": 60, "apply_first": True},
                {"drop": True, "apply_first": True},
                {"status": 500, "apply_first": True},
                {"status": 500},
                {"drop": True},
            ]
        )
        for path, method in ((POINTS, "PUT"), (f"{POINTS}/delete", "POST")):
            node.fault(path, method=method, times=rng.randint(1, 3), **how)

    def _refusals(self, rng: random.Random) -> None:
        rng.choice(self.nodes).stop()


def work(
    deployment: FailingAtRandom, clients: Clients, rng: random.Random, *, killed: bool
) -> None:
    never = threading.Event()
    with clients.working([rng.getrandbits(32) for _ in range(CLIENTS)]):
        try:
            for _ in range(rng.randint(*FAULTS_A_ROUND)):
                deployment.fail(rng)
                never.wait(rng.uniform(*FAULT_S))
                if rng.random() < 0.7:  # else the next fault finds this one there
                    deployment.mend()
            if killed:
                deployment.kill()
        finally:
            deployment.mend()


def warm_up(clients: Clients) -> None:
    """One memory of each user that all will mean."""
    adds = [clients.ask(clients.adding(user)) for user in USERS]
    clients.hot = [id_ for add in adds for id_ in add.ids]


def come_to_rest(deployment: FailingAtRandom, judge: Judge) -> None:
    try:
        settle(deployment.service)
    except AssertionError as error:
        judge.found["unsettled"].append(str(error))
        deployment.kill()
        deployment.start_again()
        settle(deployment.service)


def judge_round(judge: Judge, clients: Clients, service: Service) -> None:
    after = listing(service)
    judge.settle(clients.ops, after)
    judge.overhear(clients.ops)
    in_file = histories(service.data_dir / "history.db")
    for memory_id in in_file.keys() | judge.lives.keys() | judge.dead:
        judge.hear(memory_id, in_file.get(memory_id, []), after.get(memory_id))
    orders = illegal_orders(judge.lives, clients.ops, after, clients.now())
    judge.found["order"] += [f"{memory_id}: {order}" for memory_id, order in orders.items()]
    judge.found["hung"] += map(str, clients.hung)
    clients.ops.clear()
    clients.hung.clear()
    clients.knows(after)


def judge_replicas(judge: Judge, nodes: Sequence[QdrantServer]) -> None:
    held = [memories(node) for node in nodes]
    judge.found["differing"] += [f"{one}" for one in held[1:] if one != held[0]]


def memories(node: QdrantServer) -> dict[str, Any]:
    with node.lock:
        found, _ = node.client.scroll("memories", limit=100_000)
    return {str(point.id): point.payload for point in found}


def summary(store: str, rounds: int, judge: Judge, seed: int) -> str:
    counts = [f"{name} {len(judge.found[kind])}" for kind, name in MISTAKES.items()]
    asked = f"operations {judge.asked}, acknowledged {judge.acknowledged.total()}"
    return f"{store}: rounds {rounds}, {asked}, failed {judge.failed.total()}, " + ", ".join(
        [*counts, f"TEST_SEED={seed}"]
    )


def keep_failing(folder: Path, store: str, rounds: int) -> Judge:
    """What it found is for the caller to `conclude`."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\n{store}: TEST_SEED={seed}")
    rng = random.Random(seed)
    judge = Judge(failures=True)
    with FailingAtRandom.running(folder, store) as deployment:
        clients = Clients(deployment.service, USERS, SHARES, keyed=KEYED)
        for number in range(rounds):
            warm_up(clients)
            killed = number % KILLED == KILLED - 1
            work(deployment, clients, rng, killed=killed)
            if killed:
                deployment.start_again()
            come_to_rest(deployment, judge)
            judge_round(judge, clients, deployment.service)
            judge_replicas(judge, deployment.nodes)
    print(summary(store, rounds, judge, seed))
    return judge
