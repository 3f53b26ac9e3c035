"""The queue of jobs, for the processes that run them.

Jobs of one lane, which stands for a scope, run one after the other, in the order in which they were
accepted. A running job belongs to a process; the jobs of a dead process become pending again.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select, update

from app.observability.metrics import JOBS_ENDED
from app.storage.history import answers
from app.storage.history.database import Database
from app.storage.history.job_rows import (
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    StoredJob,
    stored,
)
from app.storage.history.schema import ANSWERS, JOBS

_EARLIER = JOBS.alias("earlier")
_IS_FIRST = ~exists().where(_EARLIER.c.lane == JOBS.c.lane, _EARLIER.c.seq < JOBS.c.seq)
"""The condition that a job is the first of its lane. Ended jobs have no lane."""


class JobQueue:
    """The queue of jobs in a database. Safe for many threads and several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, process: str, most: int) -> list[StoredJob]:
        """Claim up to `most` due jobs for `process`, the oldest first; they count as running."""
        due = (JOBS.c.state == PENDING) & (JOBS.c.due_at <= time.time())
        query = select(JOBS).where(due, _IS_FIRST).order_by(JOBS.c.seq).limit(most)
        with self._database.reading() as connection:  # mostly there is none; this needs no lock
            if connection.execute(query.limit(1)).first() is None:
                return []

        def write(connection: Connection) -> list[StoredJob]:
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            began = func.coalesce(JOBS.c.began_at, time.time())
            mine = {"state": RUNNING, "process": process, "began_at": began}
            claimed = update(JOBS).values(**mine, attempts=JOBS.c.attempts + 1)
            connection.execute(claimed.where(JOBS.c.seq.in_([row.seq for row in rows])))
            return [stored(row)._replace(state=RUNNING, attempts=row.attempts + 1) for row in rows]

        return self._database.write(write)

    def is_first(self, job: StoredJob) -> bool:
        """Whether no earlier job of its scope is open."""
        query = select(JOBS.c.seq).where(JOBS.c.id == job.id, _IS_FIRST)
        with self._database.reading() as connection:
            return connection.scalar(query) is not None

    def succeed(self, job: StoredJob, process: str, outcome: str) -> bool:
        """Store the outcome of a job. Returns False where the job does not belong to `process` any
        more. The answer is deleted from ANSWERS, since the job has it."""

        def write(connection: Connection) -> bool:
            ended = {**ENDED, "state": SUCCEEDED, "outcome": outcome, "ended_at": time.time()}
            if not _change(connection, job, process, ended):
                return False
            of_key = (ANSWERS.c.caller == job.caller) & (ANSWERS.c.key == job.key)
            connection.execute(delete(ANSWERS).where(of_key))
            JOBS_ENDED.labels(SUCCEEDED).inc()
            return True

        return self._database.write(write)

    def fail(self, job: StoredJob, process: str, outcome: str, due_at: float) -> bool:
        """Give a job up. Where it is not known yet whether its write took place, put it off."""

        def write(connection: Connection) -> bool:
            if answers.is_taken(connection, job.caller, job.key):
                waits = {"state": PENDING, "process": None, "outcome": outcome, "due_at": due_at}
                return _change(connection, job, process, waits)
            ended = {**ENDED, "state": FAILED, "outcome": outcome, "ended_at": time.time()}
            changed = _change(connection, job, process, ended)
            JOBS_ENDED.labels(FAILED).inc(changed)
            return changed

        return self._database.write(write)

    def put_off(self, job: StoredJob, process: str, outcome: str | None, due_at: float) -> bool:
        """Make a job pending again; `outcome` is the reason."""
        waits = {"state": PENDING, "process": None, "outcome": outcome, "due_at": due_at}
        return self._database.write(lambda connection: _change(connection, job, process, waits))

    def running(self, process: str) -> list[StoredJob]:
        """The jobs that are recorded as running in a process."""
        query = select(JOBS).where(JOBS.c.state == RUNNING, JOBS.c.process == process)
        with self._database.reading() as connection:
            return [stored(row) for row in connection.execute(query)]

    def processes(self) -> Collection[str]:
        """The processes that run jobs, or died while they did."""
        query = select(JOBS.c.process).where(JOBS.c.state == RUNNING).distinct()
        with self._database.reading() as connection:
            return [*connection.scalars(query)]

    def interrupted(self, process: str, pause: Callable[[int], float | None], lost: str) -> None:
        """Put the jobs of a dead process off, or give them up. `pause` returns how many seconds a
        job waits after so many interruptions; None to give it up, with `lost` as its failure."""
        for job in self.running(process):
            number = job.interruptions + 1
            seconds = pause(number)
            due_at = time.time() + (seconds or 0)
            self._count_interruption(job, process, number)
            if seconds is None:
                self.fail(job, process, lost, due_at)
            else:
                self.put_off(job, process, job.outcome, due_at)

    def _count_interruption(self, job: StoredJob, process: str, number: int) -> None:
        self._database.write(
            lambda connection: _change(connection, job, process, {"interruptions": number})
        )


def _change(
    connection: Connection, job: StoredJob, process: str, values: Mapping[str, Any]
) -> bool:
    """Change a job. Returns False where it does not run in `process` any more."""
    mine = update(JOBS).where(is_running(job.id, process)).values(**values)
    return connection.execute(mine).rowcount == 1


def is_running(id_: str, process: str) -> ColumnElement[bool]:
    return (JOBS.c.id == id_) & (JOBS.c.state == RUNNING) & (JOBS.c.process == process)
