"""Three processes on one PostgreSQL and one Qdrant: random calls while parts of it fail.

In each round a process is killed, PostgreSQL crashes, Qdrant loses writes or their answers, and a
process is stopped for longer than its lease, or nothing that it sends arrives. Then everything is
settled, and what is there is compared with what was acknowledged, whichever process had
acknowledged it; of each memory a legal order of the calls to it is searched for. TEST_SEED repeats
the random choices of a run (how the threads interleave is not repeated); ROUNDS says how many
rounds there are.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.soak.fleet import Fleet
from tests.soak.fleet_clients import FleetClients
from tests.soak.fleet_judge import FleetJudge
from tests.soak.rounds import CLIENTS, SHARES, USERS

ROUNDS = int(os.environ.get("ROUNDS") or 4)
BEFORE_S = (0.3, 1.5)
LONG = ("stop", "hang", "stutter")
SHORT = ("kill", "crash_postgresql", "lose_writes")
"""All of these beside one of the long ones: 16 faults in 4 rounds, in each of which leases have to
end."""
CANCELLING = ("delete_all", "purge", "reset")
KEPT = {kind: share for kind, share in SHARES.items() if kind not in CANCELLING}
"""In every other round: a job that is lost must not be taken for one that a deletion cancelled."""


def work(fleet: Fleet, clients: FleetClients, rng: random.Random, names: Sequence[str]) -> None:
    """Ask all the time, while that happens and for a moment before and after."""
    with clients.working([rng.getrandbits(32) for _ in range(CLIENTS)]):
        time.sleep(rng.uniform(*BEFORE_S))
        fleet.happen(names, rng)
        time.sleep(rng.uniform(*BEFORE_S))


@pytest.mark.parametrize("replicas", [1, 3])
def test_what_was_acknowledged_by_any_process_stands(tmp_path: Path, replicas: int) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\nTEST_SEED={seed}")
    rng = random.Random(seed)
    judge, happened = FleetJudge(), Counter[str]()
    with Fleet.running(tmp_path, replicas) as fleet:
        clients = FleetClients(fleet, USERS, SHARES, keyed=0.5)
        for number in range(ROUNDS):
            clients.shares = SHARES if number % 2 else KEPT
            names = [LONG[number % len(LONG)], *SHORT]
            work(fleet, clients, rng, names)
            happened.update(names)
            fleet.settle()
            judge.judge_round(clients, fleet)
    print(f"{replicas} replicas, rounds {ROUNDS}, {dict(happened)}, {judge.summary()}")
    judge.conclude()
