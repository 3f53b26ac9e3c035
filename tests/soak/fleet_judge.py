"""Holds what clients of a fleet were told against what is there: memories, jobs, keys."""

import math
from collections import Counter
from collections.abc import Mapping

from tests.model import jobs, keys, totals
from tests.model.judge import Judge
from tests.model.looking import Memories, listing
from tests.model.orders import illegal_orders
from tests.model.repeats import Repeats
from tests.soak.fleet import Fleet
from tests.soak.fleet_clients import FleetClients


class FleetJudge(Judge):
    """Also of what processes share beside memories."""

    shared = (
        "jobs lost",
        "jobs doubled",
        "jobs ended twice",
        "jobs out of turn",
        "repeats told otherwise",
        "revoked but accepted",
        "good but refused",
        "order",
        "totals",
    )

    def __init__(self) -> None:
        super().__init__(failures=True)
        self.counts: Counter[str] = Counter()
        """Of what nothing is wrong with."""
        self._repeats = Repeats()

    def judge_round(self, clients: FleetClients, fleet: Fleet) -> None:
        """When all is settled. After it `clients` know what is there."""
        ends = clients.jobs.ends()
        accepted = jobs.jobs_of(clients.ops)
        jobs.settle(accepted, ends)
        after = listing(fleet)
        self.settle(clients.ops, after)
        self.overhear(clients.ops)
        rows = fleet.histories()
        for memory_id in rows.keys() | self.lives.keys() | self.dead:
            self.hear(memory_id, rows.get(memory_id, []), after.get(memory_id))
        orders = illegal_orders(self.lives, clients.ops, after, clients.now())
        self.found["order"] += [f"{memory_id}: {order}" for memory_id, order in orders.items()]
        wanted = Counter(memory["user_id"] for memory in after.values())
        self.found["totals"] += [f"{told}: {wanted}" for told in fleet.totals() if told != wanted]
        self._judge_jobs(clients, ends, after)
        self._judge_keys(clients)
        self.found["totals"] += totals.differing(fleet.services)
        clients.ops.clear()
        clients.hung.clear()
        clients.knows(after)

    def _judge_jobs(
        self, clients: FleetClients, ends: Mapping[str, jobs.Look], after: Memories
    ) -> None:
        accepted = jobs.jobs_of(clients.ops)
        self.counts.update(f"jobs {look.state}" for look in ends.values())
        self.found["jobs lost"] += jobs.lost(accepted, ends, clients.ops)
        self.found["jobs doubled"] += jobs.doubled(accepted, after)
        self.found["jobs ended twice"] += jobs.changed_after_the_end(clients.jobs.looks)
        self.found["jobs out of turn"] += jobs.out_of_turn(accepted, ends)
        self.counts["repeats"] += len(clients.repeats)
        told = self._repeats.told_otherwise(clients.ops, clients.repeats)
        self.found["repeats told otherwise"] += told
        clients.jobs.looks.clear()
        clients.repeats.clear()

    def _judge_keys(self, clients: FleetClients) -> None:
        ring = clients.keys
        self.counts["requests with a revoked key"] += sum(
            use.started > use.key.revoked for use in ring.uses
        )
        ring.try_all()
        self.counts["revocations"] = sum(key.revoked < math.inf for key in ring.keys)
        self.found["revoked but accepted"] += keys.accepted_after_revocation(ring.uses)
        self.found["good but refused"] += keys.refused_before_revocation(ring.uses)
        ring.uses.clear()

    def summary(self) -> str:
        mistakes = {kind: len(self.found[kind]) for kind in (*self.kinds, *self.shared)}
        asked = f"operations {self.asked}, acknowledged {self.acknowledged.total()}"
        return f"{asked}, failed {self.failed.total()}, {dict(self.counts)}: {mistakes}"
