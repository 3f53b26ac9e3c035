"""Asynchronous adds: accepted and written down at once, done later, each exactly once.

What is accepted stands in the history database before its caller is told. A run uses the
idempotency of adds: one that was cut off, and is repeated, gives what the first one stored. Jobs of
one scope run one after the other in the order in which they were accepted; those of different
scopes side by side.
"""

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from app.errors import JobNotFound, JobsDelayed
from app.memory.adding import Adding
from app.memory.jobs.job import Failure, Job
from app.memory.jobs.requests import JobsRequest
from app.memory.jobs.runner import JobRunner
from app.memory.jobs.waiting import Waiting
from app.memory.jobs.work import Work
from app.memory.requests import AddRequest
from app.security.principal import Principal
from app.security.scopes import Scope
from app.storage.history.job_queue import JobQueue
from app.storage.history.job_rows import STATES, WITHOUT_KEY, NewJob
from app.storage.history.jobs import Jobs, QueueState
from app.storage.journal.journal import Journal
from app.storage.payloads import new_id
from app.storage.vectors.store import VectorStore

__all__ = ["Failure", "Job", "JobLimits", "JobPage", "JobService", "JobsRequest"]

DAY_S = 24 * 3600
DELAYED_S = 300.0
"""Without an end of any job, while some wait: then they do not get on."""


class JobLimits(NamedTuple):
    waiting: int = 10_000
    """How many may wait or run."""
    at_once: int = 16
    """How many run at once in a process."""
    kept_days: int = 7
    """For how long it is known what became of one."""
    waiters: int = 32
    """How many callers of a process may wait for the end of one."""


class JobPage(NamedTuple):
    jobs: list[Job]
    cursor: str | None
    """Of what follows; None at the end."""


class JobService:
    """Accepts adds, says what became of them, and has them done. Safe for many threads."""

    def __init__(
        self, store: VectorStore, journal: Journal, adding: Adding, limits: JobLimits
    ) -> None:
        self._store = store
        self._adding = adding
        self._limits = limits
        self._jobs = Jobs(journal.database)
        self._waiting = Waiting(limits.waiters)
        self._queue = queue = JobQueue(journal.database)
        work = Work(queue, adding, journal.liveness)
        self._runner = JobRunner(queue, work, journal.liveness, limits.at_once, self._waiting.tell)

    def submit(self, principal: Principal, asked: AddRequest, key: str | None = None) -> Job:
        """Accept an add; or give the job that was accepted with the same idempotency `key`.

        It is written down when this returns. Raises what `submit_many` raises.
        """
        [job] = self.submit_many(principal, [(asked, key)])
        return job

    def submit_many(
        self, principal: Principal, adds: Sequence[tuple[AddRequest, str | None]]
    ) -> list[Job]:
        """The same for many, each with its idempotency key, in one transaction: all or none.

        Raises Forbidden, LLMNotConfigured, StorageFull, TooManyJobs, IdempotencyKeyReused and
        IdempotencyKeyErased.
        """
        principal.must_write()
        new = [self._new(principal, asked, key) for asked, key in adds]
        self._store.check_disk_space()
        accepted = self._jobs.add(new, self._limits.waiting)
        # To look for what is due takes long where many wait: not for one that cannot be.
        if len(accepted) != 1 or self._queue.is_first(accepted[0]):
            self._runner.wake()
        return [Job.of(row) for row in accepted]

    def get(self, principal: Principal, id_: str, wait: float = 0) -> Job:
        """The job, when it has ended or `wait` seconds have passed; at once where too many wait
        already. Raises JobNotFound."""
        return self._waiting.until_ended(lambda: self._get(principal, id_), wait)

    def listing(self, principal: Principal, asked: JobsRequest) -> JobPage:
        """Those that the principal may see, the last one that was accepted first. Raises
        JobNotFound for a cursor of one that is not there, or not any more."""
        scope = principal.narrowed(asked.scope())
        if asked.cursor and self._jobs.get(asked.cursor, scope) is None:
            raise JobNotFound
        states = [asked.status] if asked.status else STATES
        rows = self._jobs.page(scope, states, asked.cursor, asked.limit + 1)
        jobs = [Job.of(row) for row in rows[: asked.limit]]
        return JobPage(jobs, jobs[-1].id if len(rows) > asked.limit else None)

    def cancel(self, principal: Principal, id_: str) -> Job:
        """Cancel what has not begun. Raises JobNotFound, and JobHasBegun."""
        principal.must_write()
        row = self._jobs.cancel(id_, principal.scope)
        if row is None:
            raise JobNotFound
        self._waiting.tell(id_)
        self._runner.wake()  # the next of its scope may be due
        return Job.of(row)

    def state(self, scope: Scope | None = None) -> QueueState:
        """How many wait and run, of a scope or of all."""
        return self._jobs.state(scope)

    def check(self) -> str | None:
        """For `ready`. Raises JobsDelayed where they do not get on."""
        if self._runner.failure:
            raise JobsDelayed(
                f"The thread that begins jobs fails with {self._runner.failure}; its log says "
                "where. It is tried again."
            )
        state = self._jobs.state()
        if state.oldest is None:
            return None
        age = time.time() - state.oldest
        note = f"{state.pending} wait, {state.running} run, the oldest for {age:.0f} s."
        if min(age, time.time() - (state.last_ended or 0)) > DELAYED_S:
            raise JobsDelayed(f"{note} None has ended for {DELAYED_S:.0f} s: see the log.")
        return note

    def tidy(self) -> None:
        """Forget those that ended long ago."""
        self._jobs.remove_ended(time.time() - self._limits.kept_days * DAY_S)

    def close(self) -> None:
        """Begin no more, and wait for what is at work."""
        self._waiting.close()
        self._runner.close()

    def _get(self, principal: Principal, id_: str) -> Job:
        row = self._jobs.get(id_, principal.scope)
        if row is None:
            raise JobNotFound
        return Job.of(row)

    def _new(self, principal: Principal, asked: AddRequest, key: str | None) -> NewJob:
        self._adding.infers(asked)
        id_ = new_id()
        return NewJob(
            id=id_,
            caller=principal.id if key else WITHOUT_KEY,
            key=key or id_,
            fingerprints=(asked.fingerprint(), asked.fingerprint_by_0_1()),
            asked_by=principal.id,
            bound=json.dumps(principal.scope),
            body=asked.to_json(),
            scope=principal.narrowed(asked.scope()),
        )
