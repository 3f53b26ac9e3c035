"""The answers of requests with an idempotency key, see app.memory.idempotency."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from app.errors import HistoryUnavailable
from app.security.scopes import Scope
from app.storage.history import messages
from app.storage.history.database import Database
from app.storage.history.messages import Said
from app.storage.history.schema import ANSWERS, INTENTS, JOBS, within
from app.storage.history.statements import add_if_absent
from app.storage.locks import Lock

KEPT_S = 24 * 3600


class Withdrawn(Exception):
    """The request must not write any more: its job was cancelled, or its process was declared
    dead."""


class Claim(NamedTuple):
    """A stored request with an idempotency key."""

    fingerprint: str
    answer: str | None
    """None while the request is being done, and after its answer was erased."""
    erased: bool


class Wanted(NamedTuple):
    """A request that wants to claim an idempotency key."""

    caller: str
    key: str
    fingerprint: str
    scope: Scope
    job: str | None = None
    """The id of the job, where the request is a run of one."""


class Answers:
    """The idempotency keys in a database; each is kept for 24 hours."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[tuple[str, str, str]] = set()  # claims that could not be released yet
        self._releasing = Lock()

    def claim(
        self, caller: str, key: str, fingerprint: str, process: str, scope: Scope
    ) -> Claim | None:
        """Claim a key. Returns None where this request now holds it, else the earlier claim."""
        return self.claim_all([Wanted(caller, key, fingerprint, scope)], process)[0]

    def claim_all(self, wanted: Sequence[Wanted], process: str) -> list[Claim | None]:
        """Claim several keys. Returns for each None where its request now holds it, else the
        earlier claim. Raises Withdrawn where the job of one was cancelled."""
        now_s = time.time()

        def write(connection: Connection) -> list[Claim | None]:
            old = ANSWERS.c.asked_at < now_s - KEPT_S
            connection.execute(delete(ANSWERS).where(old, ~_of_open_job()))
            return [_claim(connection, one, process, now_s) for one in wanted]

        return self._database.write(write)

    def answer(self, caller: str, key: str, answer: str, process: str, said: Said = ()) -> None:
        """Store the answer and the messages of a request that stored no memory, and that `process`
        has claimed. Raises Withdrawn."""

        def write(connection: Connection) -> None:
            _update(connection, process, (caller, key), answer=answer)
            messages.save(connection, said)

        self._database.write(write)

    def release(self, caller: str, key: str, process: str) -> None:
        """Release a claim of `process`, so that a repeat runs again, unless the request has an open
        intent. Where the database fails, `release_held` does it later."""
        try:
            self._release(caller, key, process)
        except HistoryUnavailable:
            self._held.add((caller, key, process))

    def release_held(self) -> None:
        with self._releasing:  # so that none is released twice: another request may hold it by then
            for held in [*self._held]:
                self._release(*held)
                self._held.discard(held)

    def _release(self, caller: str, key: str, process: str) -> None:
        mine = (_of(caller, key), ANSWERS.c.process == process, _is_free())

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(*mine))

        self._database.write(write)

    def release_all(self, process: str) -> None:
        """Release all claims of a dead process, except those with open intents."""

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(ANSWERS.c.process == process, _is_free()))

        self._database.write(write)


def find(connection: Connection, caller: str, key: str) -> Claim | None:
    columns = (ANSWERS.c.fingerprint, ANSWERS.c.answer, ANSWERS.c.erased)
    found = connection.execute(select(*columns).where(_of(caller, key))).first()
    return found and Claim(*found)


def is_taken(connection: Connection, caller: str, key: str) -> bool:
    """Whether a request with that key is being done, or its outcome is not known yet."""
    return find(connection, caller, key) is not None


def _claim(connection: Connection, wanted: Wanted, process: str, now_s: float) -> Claim | None:
    caller, key, fingerprint, scope, job = wanted
    if job is None:
        if found := find(connection, caller, key) or _of_job(connection, caller, key):
            return found
    elif not _runs(connection, job, process):
        raise Withdrawn
    row = {"caller": caller, "key": key, "fingerprint": fingerprint, "asked_at": now_s}
    if add_if_absent(connection, ANSWERS, {**row, "process": process, **scope}):
        return None
    # Where it is not found it was just released, and the caller will claim it when it retries.
    return find(connection, caller, key) or Claim(fingerprint, None, erased=False)


def belongs_to(connection: Connection, process: str, repeat: tuple[str, str], intent: int) -> None:
    """Record that `intent` carries out the request with this caller and key, which `process` has
    claimed. Raises Withdrawn."""
    _update(connection, process, repeat, intent=intent)


def withdraw(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete the claims of `which` requests that have no intent yet, so that they cannot write."""
    connection.execute(delete(ANSWERS).where(which, _is_free()))


def keep(connection: Connection, intent: int, answer: str) -> None:
    connection.execute(update(ANSWERS).where(ANSWERS.c.intent == intent).values(answer=answer))


def drop(connection: Connection, intent: int) -> None:
    """Delete the claim of an intent's request, so that a repeat runs again."""
    connection.execute(delete(ANSWERS).where(ANSWERS.c.intent == intent))


def erase(connection: Connection, scope: Scope) -> int:
    """Erase the answers of a scope; returns how many. The keys stay, because a late repeat must not
    store again what was erased."""
    answered = ANSWERS.c.answer.is_not(None)
    erased = update(ANSWERS).values(answer=None, erased=True)
    return connection.execute(erased.where(within(ANSWERS, scope), answered)).rowcount


def _of(caller: str, key: str) -> ColumnElement[bool]:
    return (ANSWERS.c.caller == caller) & (ANSWERS.c.key == key)


def _is_free() -> ColumnElement[bool]:
    """The condition that a claim has neither an answer nor an open intent."""
    taken = ANSWERS.c.intent.is_not(None) & ANSWERS.c.intent.in_(select(INTENTS.c.seq))
    return ANSWERS.c.answer.is_(None) & ~ANSWERS.c.erased & ~taken


def _update(
    connection: Connection, process: str, repeat: tuple[str, str], **values: object
) -> None:
    """Change the row of a claim. Raises Withdrawn where `process` does not hold the claim any more:
    it was withdrawn, or the process was declared dead."""
    mine = update(ANSWERS).where(_of(*repeat), ANSWERS.c.process == process)
    if not connection.execute(mine.values(**values)).rowcount:
        raise Withdrawn


def _of_open_job() -> ColumnElement[bool]:
    """The condition that a claim belongs to a job that has not ended. It is kept however old it is:
    a job may wait for more than a day, and would then be done twice."""
    same = (JOBS.c.caller == ANSWERS.c.caller) & (JOBS.c.key == ANSWERS.c.key)
    return exists().where(same, JOBS.c.lane.is_not(None))


def _of_job(connection: Connection, caller: str, key: str) -> Claim | None:
    """The claim of a job with that key; None where there is none, or it failed or was cancelled."""
    columns = (JOBS.c.fingerprint, JOBS.c.outcome, JOBS.c.erased, JOBS.c.state)
    mine = (JOBS.c.caller == caller) & (JOBS.c.key == key)
    found = connection.execute(select(*columns).where(mine)).first()
    if found is None or found.state in ("failed", "cancelled"):
        return None
    return Claim(
        found.fingerprint, found.outcome if found.state == "succeeded" else None, found.erased
    )


def _runs(connection: Connection, job: str, process: str) -> bool:
    """Whether `process` runs the job, which nobody can cancel before this transaction ends."""
    mine = (JOBS.c.id == job) & (JOBS.c.process == process)
    state = select(JOBS.c.state).where(mine).with_for_update(read=True)
    return connection.scalar(state) == "running"
