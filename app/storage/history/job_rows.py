"""The rows of jobs, and how jobs are cancelled with their scope."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, exists, select, update

from app.observability.metrics import JOBS_ENDED
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history import answers
from app.storage.history.schema import ANSWERS, JOBS, within

PENDING, RUNNING = "pending", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED)

WITHOUT_KEY = "job"
"""The caller of a job without an idempotency key; no principal has this id. Its key is its id."""

IDS_AT_ONCE = 500  # far below any database's bound on variables


class NewJob(NamedTuple):
    """A job to accept."""

    id: str
    caller: str
    key: str
    fingerprints: tuple[str, ...]
    """The fingerprints of its body: the one to store, then those of earlier versions."""
    asked_by: str
    bound: str
    body: str
    scope: Scope


class StoredJob(NamedTuple):
    """A row; the columns are explained in schema.py. Times are in seconds since 1970."""

    id: str
    state: str
    caller: str
    key: str
    fingerprint: str
    asked_by: str
    bound: str
    body: str | None
    outcome: str | None
    erased: bool
    attempts: int
    interruptions: int
    due_at: float
    accepted_at: float
    began_at: float | None
    ended_at: float | None
    scope: Scope


_PLAIN = [name for name in StoredJob._fields if name != "scope"]
_COLUMNS = [JOBS.c[name] for name in (*_PLAIN, *SCOPE_KEYS)]
READ = select(*_COLUMNS)
IS_OPEN = JOBS.c.lane.is_not(None)
ENDED: dict[str, Any] = {"lane": None, "body": None, "process": None}
"""The columns that are cleared when a job ends."""


def stored(row: Any) -> StoredJob:
    given = row._asdict()
    scope = {key: given[key] for key in SCOPE_KEYS if given[key] is not None}
    return StoredJob(**{name: given[name] for name in _PLAIN}, scope=scope)


def by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, StoredJob]:
    found: dict[str, StoredJob] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        these = JOBS.c.id.in_(ids[start : start + IDS_AT_ONCE])
        found |= {row.id: stored(row) for row in connection.execute(READ.where(these))}
    return found


def cancel_within(connection: Connection, scope: Scope, last: int, *, erase: bool) -> int:
    """Cancel the open jobs of a scope up to the number `last`, even running ones, because the scope
    is deleted. `erase` also erases the texts of ended jobs. Returns how many jobs lost a text."""
    these = within(JOBS, scope) & (JOBS.c.seq <= last)
    mine = (JOBS.c.caller == ANSWERS.c.caller) & (JOBS.c.key == ANSWERS.c.key)
    # Lock each job, so that none begins to write while it is cancelled.
    open_ones = select(JOBS.c.seq).where(these, IS_OPEN).order_by(JOBS.c.seq).with_for_update()
    connection.execute(open_ones).all()
    answers.withdraw(connection, exists().where(these, IS_OPEN, mine))
    ended = {**ENDED, "state": CANCELLED, "outcome": None, "ended_at": time.time()}
    cancelled = connection.execute(update(JOBS).where(these, IS_OPEN).values(ended))
    JOBS_ENDED.labels(CANCELLED).inc(cancelled.rowcount)
    if not erase:
        return cancelled.rowcount
    stored_something = (JOBS.c.state == SUCCEEDED) & JOBS.c.outcome.is_not(None)
    erased = update(JOBS).values(outcome=None, erased=True)
    return cancelled.rowcount + connection.execute(erased.where(these, stored_something)).rowcount
