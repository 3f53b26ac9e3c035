"""The stored jobs, which are kept for some days after they have ended."""

import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from app.errors import JobHasBegun
from app.observability.metrics import JOBS_ENDED
from app.security.scopes import Scope
from app.storage.history import answers
from app.storage.history.accepting import accept
from app.storage.history.database import Database
from app.storage.history.job_rows import (
    CANCELLED,
    ENDED,
    IDS_AT_ONCE,
    IS_OPEN,
    PENDING,
    READ,
    RUNNING,
    NewJob,
    StoredJob,
    stored,
)
from app.storage.history.schema import JOBS, within

REMOVED_AT_ONCE = 1000  # rows in one transaction, so that others can write in between


class QueueState(NamedTuple):
    """The state of the job queue."""

    pending: int
    running: int
    oldest: float | None
    """When the oldest open job was accepted, in seconds since 1970."""
    last_ended: float | None


class Jobs:
    """The jobs of a database, as callers see them. Safe for many threads and several processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, new: Sequence[NewJob], most: int) -> list[StoredJob]:
        """Store all new jobs, in their order, or none. A job with the same caller and key as a
        stored one is not added; the stored one is returned in its place.

        Raises TooManyJobs where more than `most` would be open, IdempotencyKeyReused where a key
        came with another body, and IdempotencyKeyErased.
        """

        return self.database.write(partial(accept, new=new, most=most))

    def get(self, id_: str, scope: Scope) -> StoredJob | None:
        with self.database.reading() as connection:
            found = connection.execute(READ.where(_is(id_), within(JOBS, scope))).first()
        return stored(found) if found else None

    def page(
        self, scope: Scope, states: Collection[str], before: str | None, limit: int
    ) -> list[StoredJob]:
        """The latest jobs of a scope; with `before` those that were accepted before that job."""
        these = [within(JOBS, scope), JOBS.c.state.in_(states)]
        if before:
            place = select(JOBS.c.seq).where(_is(before), within(JOBS, scope)).scalar_subquery()
            these.append(JOBS.c.seq < place)
        query = READ.where(*these).order_by(JOBS.c.seq.desc()).limit(limit)
        with self.database.reading() as connection:
            return [stored(row) for row in connection.execute(query)]

    def cancel(self, id_: str, scope: Scope) -> StoredJob | None:
        """Cancel a job. Returns it, or None where there is none. Raises JobHasBegun."""

        def write(connection: Connection) -> StoredJob | None:
            found = connection.execute(
                READ.where(_is(id_), within(JOBS, scope)).with_for_update()
            ).first()
            if not found:
                return None
            if found.state == CANCELLED:
                return stored(found)
            if found.state != PENDING or answers.is_taken(connection, found.caller, found.key):
                raise JobHasBegun
            ended = {**ENDED, "state": CANCELLED, "outcome": None, "ended_at": time.time()}
            connection.execute(update(JOBS).where(_is(id_)).values(ended))
            JOBS_ENDED.labels(CANCELLED).inc()
            return stored(found)._replace(state=CANCELLED, outcome=None, ended_at=time.time())

        return self.database.write(write)

    def state(self, scope: Scope | None = None) -> QueueState:
        """The state of the jobs of a scope, or of all jobs."""
        these = within(JOBS, scope or {}) & IS_OPEN
        groups = select(JOBS.c.state, func.count(), func.min(JOBS.c.accepted_at)).where(these)
        last = select(func.max(JOBS.c.ended_at)).where(within(JOBS, scope or {}))
        with self.database.reading() as connection:
            rows = connection.execute(groups.group_by(JOBS.c.state)).all()
            last_ended = connection.scalar(last)
        counts = {state: number for state, number, _ in rows}
        oldest = min((first for _, _, first in rows), default=None)
        return QueueState(counts.get(PENDING, 0), counts.get(RUNNING, 0), oldest, last_ended)

    def remove_ended(self, before: float) -> None:
        """Delete up to a thousand jobs that ended before the time `before`."""
        old = select(JOBS.c.id).where(JOBS.c.ended_at < before).limit(REMOVED_AT_ONCE)
        with self.database.reading() as connection:
            ids = connection.scalars(old).all()

        def write(connection: Connection) -> None:
            for start in range(0, len(ids), IDS_AT_ONCE):
                these = JOBS.c.id.in_(ids[start : start + IDS_AT_ONCE])
                connection.execute(delete(JOBS).where(these))

        if ids:
            self.database.write(write)

    def last(self) -> int:
        """The number of the job that was accepted last; 0 where there is none."""
        with self.database.reading() as connection:
            return connection.scalar(select(func.max(JOBS.c.seq))) or 0


def _is(id_: str) -> ColumnElement[bool]:
    return JOBS.c.id == id_
