"""Accepts jobs: all of a request or none, and each idempotency key once."""

import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, func, select

from app.errors import IdempotencyKeyErased, IdempotencyKeyReused, TooManyJobs
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history import answers
from app.storage.history.job_rows import IS_OPEN, PENDING, WITHOUT_KEY, NewJob, StoredJob, by_ids
from app.storage.history.messages import session_key
from app.storage.history.schema import JOBS
from app.storage.history.statements import add_those_absent

ACCEPTING = 7_201_833
"""The first of the two numbers of advisory locks: any that no other program uses."""
TURNS = 64
"""How many locks the lanes share: a batch may have more lanes than a server has room for locks."""


def accept(connection: Connection, new: Sequence[NewJob], most: int) -> list[StoredJob]:
    """See Jobs.add."""
    fresh: dict[tuple[str, str], NewJob] = {}
    ids = [_known(connection, job, fresh) for job in new]
    if fresh:
        _in_turn(connection, fresh.values())
        _check_room(connection, len(fresh), most)
        add_those_absent(connection, JOBS, [_row(job) for job in fresh.values()])
    found = by_ids(connection, ids)
    if len(found) < len({*ids}):  # another transaction has just accepted the same key
        ids = [_known(connection, job, {}) for job in new]
        found = by_ids(connection, ids)
    return [found[id_] for id_ in ids]


def _in_turn(connection: Connection, new: Iterable[NewJob]) -> None:
    """Let the jobs of one lane have numbers in the order in which they are committed.

    Otherwise a job could be committed after the next one of its lane has begun, and run beside it.
    Only PostgreSQL has several writing transactions at a time.
    """
    if connection.dialect.name == "postgresql":
        for turn in sorted({int(_lane(job)[:8], 16) % TURNS for job in new}):
            connection.execute(select(func.pg_advisory_xact_lock(ACCEPTING, turn)))


def _row(job: NewJob) -> dict[str, Any]:
    given = job._asdict()
    scope: Scope = given.pop("scope")
    fingerprint, *_ = given.pop("fingerprints")
    now = time.time()
    own = {"state": PENDING, "lane": _lane(job), "fingerprint": fingerprint}
    times = {"accepted_at": now, "due_at": now}
    return {**given, **own, **times, **dict.fromkeys(SCOPE_KEYS), **scope}


def _lane(job: NewJob) -> str:
    # A hash, because a key of four long ids would be too long for an index of PostgreSQL.
    return sha256(session_key(job.scope).encode()).hexdigest()


def _known(connection: Connection, job: NewJob, fresh: dict[tuple[str, str], NewJob]) -> str:
    """The id of the job with the same caller and key. If there is none, `job` is added to
    `fresh`."""
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
    """Check the key of an add that was no job; the job will then return that add's answer."""
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
