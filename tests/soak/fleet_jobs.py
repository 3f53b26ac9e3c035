"""Callers of a fleet who ask after jobs, at any of its processes."""

import math
import random
from collections.abc import Callable, Sequence

import httpx

from tests.model.jobs import Look, jobs_of
from tests.model.ops import Op
from tests.soak.fleet import Fleet

LAST = 60  # of the requests, among which jobs are asked after


class JobCallers:
    """Safe for many threads: append is atomic."""

    def __init__(self, fleet: Fleet, ops: Sequence[Op], now: Callable[[], int]) -> None:
        self.looks: list[Look] = []
        self._fleet = fleet
        self._ops = ops
        self._now = now

    def look(self, rng: random.Random) -> None:
        if op := self._some(rng):
            found = self._ask(op.job)
            if found.answer and "results" in found.answer:
                op.stored(found.answer, found.ended)

    def cancel(self, rng: random.Random) -> None:
        if op := self._some(rng):
            op.may_be_cancelled = True
            self._fleet.request("DELETE", f"/jobs/{op.job}")

    def ends(self) -> dict[str, Look]:
        """When all is settled: what each has become."""
        return {op.job: self._ask(op.job) for op in jobs_of(self._ops)}

    def _ask(self, job: str) -> Look:
        """Raises httpx.TransportError, also where it cannot be told now."""
        started = self._now()
        response = self._fleet.request("GET", f"/jobs/{job}")
        if response.status_code not in (200, 404):
            raise httpx.TransportError(response.text)
        answer = response.json() if response.is_success else None
        found = Look(job, started, self._now(), answer)
        self.looks.append(found)
        return found

    def _some(self, rng: random.Random) -> Op | None:
        """One that nobody has seen done yet, mostly."""
        accepted = jobs_of(self._ops[-LAST:])
        open_ones = [op for op in accepted if op.ended == math.inf]
        some = open_ones if open_ones and rng.random() < 0.8 else accepted
        return rng.choice(some) if some else None
