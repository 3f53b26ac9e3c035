"""Clients of a fleet. They go to another process where one fails, and use all that processes share:
jobs, idempotency keys, and keys that are revoked meanwhile."""

import random
import threading
from typing import Any

import httpx

from tests.model.calls import TRIES, Clients
from tests.model.keys import UNANSWERED
from tests.model.ops import ROUTES, Op
from tests.model.repeats import Repeat
from tests.soak.fleet import Fleet
from tests.soak.fleet_jobs import JobCallers
from tests.soak.fleet_keys import KeyRing

PAUSE_S = (0.0, 0.1)  # so that a round of 20 s has not too many calls for one legal order
JOBS = 0.2  # of the requests
INFER = 0.5  # of the jobs: they take long, so that kills meet some
BESIDE = 0.25  # so many others there are about jobs and keys
LAST = 50  # answers, of which one is asked for again


class FleetClients(Clients):
    """They give up waiting, and then do not know what became of it."""

    def __init__(self, fleet: Fleet, *arguments: Any, **options: Any) -> None:
        super().__init__(fleet, *arguments, **options)
        self.keys = KeyRing(fleet, self.users, self.now)
        self.jobs = JobCallers(fleet, self.ops, self.now)
        self.repeats: list[Repeat] = []
        self._answered: list[Op] = []
        """With an idempotency key, also in earlier rounds."""
        look, keys = self.jobs.look, self.keys
        self._beside = [look, look, self.jobs.cancel, self._repeat, keys.mint, keys.revoke]

    def act(self, rng: random.Random) -> Op:
        threading.Event().wait(rng.uniform(*PAUSE_S))
        if rng.random() < BESIDE:
            rng.choice(self._beside)(rng)
        return self._submit(rng) if rng.random() < JOBS else super().act(rng)

    def _submit(self, rng: random.Random) -> Op:
        """An add as a job."""
        op = self.adding(rng.choice(self.users), keyed=rng.random() < self.keyed)
        op.infer, op.by = rng.random() < INFER, self.keys.some(op.user, rng)
        self.ops.append(op)
        response = self._answer(op, Prefer="respond-async")
        op.status = response.status_code
        if response.is_success:
            op.status, op.job, op.accepted = 202, response.json()["job"], self.now()
            self._keep(op)
        return op

    def _repeat(self, rng: random.Random) -> None:
        """What it was told is only to be compared: the first has stored what there is to store."""
        if self._answered:
            first = rng.choice(self._answered[-LAST:])
            response = self._send(first, {"Prefer": "respond-async"} if first.job else {})
            self.repeats.append(Repeat(first, response.status_code, response.json()))

    def _choose(self, rng: random.Random) -> Op:
        op = super()._choose(rng)
        if op.kind != "reset":
            op.by = self.keys.some(op.user, rng)
        return op

    def _learn(self, op: Op) -> None:
        super()._learn(op)
        if op.kind == "add" and op.done:
            self._keep(op)

    def _keep(self, op: Op) -> None:
        if op.key:
            self._answered.append(op)

    def _answer(self, op: Op, **headers: str) -> httpx.Response:
        """Of a second try too, where it is safe. Raises httpx.TransportError."""
        failure: httpx.Response | httpx.TransportError | None = None
        for _ in range(TRIES if op.key else 1):
            try:
                response = self._send(op, headers)
            except httpx.TransportError as error:
                failure = error
                continue
            if response.status_code in UNANSWERED:
                failure = response
            elif failure is None or response.status_code != 401:
                return response
            # Else its key was revoked between: what the first try did is not known.
        if isinstance(failure, httpx.Response):
            return failure
        assert failure
        raise failure

    def _send(self, op: Op, headers: dict[str, str]) -> httpx.Response:
        """By the next process."""
        sent = {**headers, **(op.by.headers if op.by else {})}
        if op.key:
            sent["Idempotency-Key"] = op.key
        started = self.now()
        route = ROUTES.get(op.kind, op.kind)
        response = self.service.post(route, op.body(), headers=sent)
        self.keys.used(op, started, response.status_code)
        return response
