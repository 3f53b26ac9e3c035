"""Jobs as rows: adds that were accepted, until some days after they have ended."""

import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select, update

from app.errors import IdempotencyKeyErased, IdempotencyKeyReused, JobHasBegun, TooManyJobs
from app.observability.metrics import JOBS_ENDED
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history import answers
from app.storage.history.database import Database
from app.storage.history.messages import session_key
from app.storage.history.schema import ANSWERS, JOBS, within

PENDING, RUNNING = "pending", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED)

WITHOUT_KEY = "job"
"""The caller of a job without an idempotency key, whose key is its id; no principal's id."""

IDS_AT_ONCE = 500  # far below any database's bound on variables
REMOVED_AT_ONCE = 1000  # rows of one transaction: others write in between


class NewJob(NamedTuple):
    """What is accepted."""

    id: str
    caller: str
    key: str
    fingerprints: tuple[str, ...]
    """Of its body: the one that is kept, and those that an earlier version may have kept."""
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


class QueueState(NamedTuple):
    """How much there is to do."""

    pending: int
    running: int
    oldest: float | None
    """When the oldest of those that have not ended was accepted."""
    last_ended: float | None


_PLAIN = [name for name in StoredJob._fields if name != "scope"]
_COLUMNS = [JOBS.c[name] for name in (*_PLAIN, *SCOPE_KEYS)]
_READ = select(*_COLUMNS)
IS_OPEN = JOBS.c.lane.is_not(None)
ENDED: dict[str, Any] = {"lane": None, "body": None, "process": None}
"""What a job has no more once it has ended."""


class Jobs:
    """The jobs of a database, as callers see them. Safe for many threads and several processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, new: Sequence[NewJob], most: int) -> list[StoredJob]:
        """Keep them all, in their order, or none; or what was kept with the same caller and key.

        Raises TooManyJobs where more than `most` would wait, IdempotencyKeyReused where a key came
        with another body, and IdempotencyKeyErased.
        """

        def write(connection: Connection) -> list[StoredJob]:
            fresh: dict[tuple[str, str], NewJob] = {}
            ids = [_known(connection, job, fresh) for job in new]
            if fresh:
                _check_room(connection, len(fresh), most)
                connection.execute(insert(JOBS), [_row(job) for job in fresh.values()])
            return _by_ids(connection, ids)

        return self.database.write(write)

    def get(self, id_: str, scope: Scope) -> StoredJob | None:
        with self.database.reading() as connection:
            found = connection.execute(_READ.where(_is(id_), within(JOBS, scope))).first()
        return stored(found) if found else None

    def page(
        self, scope: Scope, states: Collection[str], before: str | None, limit: int
    ) -> list[StoredJob]:
        """The last ones that were accepted, or those accepted before another one of that scope."""
        these = [within(JOBS, scope), JOBS.c.state.in_(states)]
        if before:
            place = select(JOBS.c.seq).where(_is(before), within(JOBS, scope)).scalar_subquery()
            these.append(JOBS.c.seq < place)
        query = _READ.where(*these).order_by(JOBS.c.seq.desc()).limit(limit)
        with self.database.reading() as connection:
            return [stored(row) for row in connection.execute(query)]

    def cancel(self, id_: str, scope: Scope) -> StoredJob | None:
        """The job, which never begins; None where there is none. Raises JobHasBegun."""

        def write(connection: Connection) -> StoredJob | None:
            found = connection.execute(
                _READ.where(_is(id_), within(JOBS, scope)).with_for_update()
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
        """Of those of a scope, or of all."""
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
        """Those that ended before that time; a thousand at once, and not more each time."""
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
        """The number of the last one that was accepted; 0 where there is none."""
        with self.database.reading() as connection:
            return connection.scalar(select(func.max(JOBS.c.seq))) or 0


def cancel_within(connection: Connection, scope: Scope, last: int, *, erase: bool) -> None:
    """With the deletion of a scope: what was accepted up to the number `last` stores nothing any
    more, also where it is at work. `erase` takes the texts of what has ended."""
    these = within(JOBS, scope) & (JOBS.c.seq <= last)
    mine = (JOBS.c.caller == ANSWERS.c.caller) & (JOBS.c.key == ANSWERS.c.key)
    answers.withdraw(connection, exists().where(these, IS_OPEN, mine))
    ended = {**ENDED, "state": CANCELLED, "outcome": None, "ended_at": time.time()}
    cancelled = connection.execute(update(JOBS).where(these, IS_OPEN).values(ended))
    JOBS_ENDED.labels(CANCELLED).inc(cancelled.rowcount)
    if erase:
        stored_something = JOBS.c.state == SUCCEEDED
        erased = update(JOBS).values(outcome=None, erased=True)
        connection.execute(erased.where(these, stored_something))


def stored(row: Any) -> StoredJob:
    given = row._asdict()
    scope = {key: given[key] for key in SCOPE_KEYS if given[key] is not None}
    return StoredJob(**{name: given[name] for name in _PLAIN}, scope=scope)


def _is(id_: str) -> ColumnElement[bool]:
    return JOBS.c.id == id_


def _row(job: NewJob) -> dict[str, Any]:
    given = job._asdict()
    scope: Scope = given.pop("scope")
    fingerprint, *_ = given.pop("fingerprints")
    now = time.time()
    own = {"state": PENDING, "lane": session_key(scope), "fingerprint": fingerprint}
    times = {"accepted_at": now, "due_at": now}
    return {**given, **own, **times, **dict.fromkeys(SCOPE_KEYS), **scope}


def _known(connection: Connection, job: NewJob, fresh: dict[tuple[str, str], NewJob]) -> str:
    """The id of the job with its caller and key; without one it is put among the `fresh`."""
    same = fresh.get((job.caller, job.key))
    if same:
        _check_same(job, same.fingerprints[0])
        return same.id
    if job.caller != WITHOUT_KEY:
        of_key = (JOBS.c.caller == job.caller) & (JOBS.c.key == job.key)
        found = connection.execute(select(JOBS.c.id, JOBS.c.fingerprint).where(of_key)).first()
        if found:
            _check_same(job, found.fingerprint)
            return str(found.id)
        _check_answered(connection, job)
    fresh[job.caller, job.key] = job
    return job.id


def _check_answered(connection: Connection, job: NewJob) -> None:
    """The key may be that of an add that was no job. Then the job gives its answer."""
    if answered := answers.find(connection, job.caller, job.key):
        _check_same(job, answered.fingerprint)
        if answered.erased:
            raise IdempotencyKeyErased


def _check_same(job: NewJob, fingerprint: str) -> None:
    if fingerprint not in job.fingerprints:
        raise IdempotencyKeyReused


def _check_room(connection: Connection, number: int, most: int) -> None:
    waiting = connection.scalar(select(func.count()).select_from(JOBS).where(IS_OPEN)) or 0
    if waiting + number > most:
        raise TooManyJobs


def _by_ids(connection: Connection, ids: Sequence[str]) -> list[StoredJob]:
    found: dict[str, StoredJob] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        these = JOBS.c.id.in_(ids[start : start + IDS_AT_ONCE])
        found |= {row.id: stored(row) for row in connection.execute(_READ.where(these))}
    return [found[id_] for id_ in ids]
