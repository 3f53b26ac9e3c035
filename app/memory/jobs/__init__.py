"""Jobs: adds that are accepted at once and done later, each exactly once.

A job is stored in the history database before its caller gets the answer. Each run has an
idempotency key, so that the repeat of an interrupted run returns what that run has stored. Jobs of
one scope run one after the other, in the order in which they were accepted; jobs of different
scopes run in parallel.
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
"""Seconds. Where jobs wait, and none has ended for so long, /ready reports them as delayed."""


class JobLimits(NamedTuple):
    waiting: int = 10_000
    """The most jobs that may be pending or running."""
    at_once: int = 16
    """The most jobs that run in one process."""
    kept_days: int = 7
    """For how many days an ended job is kept."""
    waiters: int = 32
    """The most callers in one process that may wait for a job to end."""


class JobPage(NamedTuple):
    jobs: list[Job]
    cursor: str | None
    """The cursor of the next page; None at the end."""


class JobService:
    """Accepts adds as jobs, shows, cancels and runs them. Safe for many threads."""

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
        """Accept an add, or return the job that was accepted with the same idempotency `key`.

        The job is stored when this returns. Raises what `submit_many` raises.
        """
        [job] = self.submit_many(principal, [(asked, key)])
        return job

    def submit_many(
        self, principal: Principal, adds: Sequence[tuple[AddRequest, str | None]]
    ) -> list[Job]:
        """Accept many adds, each with its idempotency key, in one transaction: all or none.

        Raises Forbidden, LLMNotConfigured, StorageFull, TooManyJobs, IdempotencyKeyReused and
        IdempotencyKeyErased.
        """
        principal.must_write()
        new = [self._new(principal, asked, key) for asked, key in adds]
        self._store.check_disk_space()
        accepted = self._jobs.add(new, self._limits.waiting)
        # Looking for due jobs is slow where many wait. A single job that has others of its scope
        # before it is not due, so it need not wake the runner.
        if len(accepted) != 1 or self._queue.is_first(accepted[0]):
            self._runner.wake()
        return [Job.of(row) for row in accepted]

    def get(self, principal: Principal, id_: str, wait: float = 0) -> Job:
        """The job, as soon as it has ended, after `wait` seconds at the latest. Where too many
        callers wait already, it is returned at once. Raises JobNotFound."""
        return self._waiting.until_ended(lambda: self._get(principal, id_), wait)

    def listing(self, principal: Principal, asked: JobsRequest) -> JobPage:
        """The jobs that the principal may see, the latest first. Raises JobNotFound where the job
        of the cursor is unknown or was removed."""
        scope = principal.narrowed(asked.scope())
        if asked.cursor and self._jobs.get(asked.cursor, scope) is None:
            raise JobNotFound
        states = [asked.status] if asked.status else STATES
        rows = self._jobs.page(scope, states, asked.cursor, asked.limit + 1)
        jobs = [Job.of(row) for row in rows[: asked.limit]]
        return JobPage(jobs, jobs[-1].id if len(rows) > asked.limit else None)

    def cancel(self, principal: Principal, id_: str) -> Job:
        """Cancel a pending job. Raises JobNotFound and JobHasBegun."""
        principal.must_write()
        row = self._jobs.cancel(id_, principal.scope)
        if row is None:
            raise JobNotFound
        self._waiting.tell(id_)
        self._runner.wake()  # the next job of its scope may be due now
        return Job.of(row)

    def state(self, scope: Scope | None = None) -> QueueState:
        """How many jobs are pending and running, of a scope or of all scopes."""
        return self._jobs.state(scope)

    def check(self) -> str | None:
        """A note for /ready; None without jobs. Raises JobsDelayed where jobs make no progress."""
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
        """Delete jobs that ended more than `kept_days` days ago."""
        self._jobs.remove_ended(time.time() - self._limits.kept_days * DAY_S)

    def close(self) -> None:
        """Begin no more jobs, and wait for those that run."""
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
