"""The answers of requests with an idempotency key, see idempotency.py."""

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
    """The request must not write any more: it is of a job that was cancelled since, or of a process
    that was taken for dead."""


class Claim(NamedTuple):
    """A request with an idempotency key, as it was kept."""

    fingerprint: str
    answer: str | None
    """None while it is at work, and when it was erased."""
    erased: bool


class Wanted(NamedTuple):
    """A request with an idempotency key."""

    caller: str
    key: str
    fingerprint: str
    scope: Scope
    job: str | None = None
    """The id of the job that it is a run of."""


class Answers:
    """The keys of a database, for 24 hours each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[tuple[str, str, str]] = set()  # that could not be released
        self._releasing = Lock()

    def claim(
        self, caller: str, key: str, fingerprint: str, process: str, scope: Scope
    ) -> Claim | None:
        """None: the key is now this request's. Else what is known of the request before."""
        return self.claim_all([Wanted(caller, key, fingerprint, scope)], process)[0]

    def claim_all(self, wanted: Sequence[Wanted], process: str) -> list[Claim | None]:
        """For each, None: the key is now this request's. Else what is known of the request before.
        Raises Withdrawn where one is of a job that was cancelled."""
        now_s = time.time()

        def write(connection: Connection) -> list[Claim | None]:
            old = ANSWERS.c.asked_at < now_s - KEPT_S
            connection.execute(delete(ANSWERS).where(old, ~_of_open_job()))
            return [_claim(connection, one, process, now_s) for one in wanted]

        return self._database.write(write)

    def answer(self, caller: str, key: str, answer: str, process: str, said: Said = ()) -> None:
        """Keep the answer of a request that stored nothing, and that `process` has claimed, and
        what was said. Raises Withdrawn."""

        def write(connection: Connection) -> None:
            _update(connection, process, (caller, key), answer=answer)
            messages.save(connection, said)

        self._database.write(write)

    def release(self, caller: str, key: str, process: str) -> None:
        """Let the request that `process` has claimed be tried again, unless an intent of it is
        still open. Where that cannot be written down now it is by `release_held`."""
        try:
            self._release(caller, key, process)
        except HistoryUnavailable:
            self._held.add((caller, key, process))

    def release_held(self) -> None:
        with self._releasing:  # so that none is released twice: it may be another request's by then
            for held in [*self._held]:
                self._release(*held)
                self._held.discard(held)

    def _release(self, caller: str, key: str, process: str) -> None:
        mine = (_of(caller, key), ANSWERS.c.process == process, _is_free())

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(*mine))

        self._database.write(write)

    def release_all(self, process: str) -> None:
        """The same for every request of a process that is gone."""

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(ANSWERS.c.process == process, _is_free()))

        self._database.write(write)


def find(connection: Connection, caller: str, key: str) -> Claim | None:
    columns = (ANSWERS.c.fingerprint, ANSWERS.c.answer, ANSWERS.c.erased)
    found = connection.execute(select(*columns).where(_of(caller, key))).first()
    return found and Claim(*found)


def is_taken(connection: Connection, caller: str, key: str) -> bool:
    """Whether a request with that key is at work, or it is not known yet what became of it."""
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
    # Gone again in this moment: it was released, and whoever asks once more will have it.
    return find(connection, caller, key) or Claim(fingerprint, None, erased=False)


def belongs_to(connection: Connection, process: str, repeat: tuple[str, str], intent: int) -> None:
    """The request of this caller and key, which `process` has claimed, is carried out by that
    intent. Raises Withdrawn."""
    _update(connection, process, repeat, intent=intent)


def withdraw(connection: Connection, which: ColumnElement[bool]) -> None:
    """Keep `which` requests that are at work from writing what they have not begun to write."""
    connection.execute(delete(ANSWERS).where(which, _is_free()))


def keep(connection: Connection, intent: int, answer: str) -> None:
    connection.execute(update(ANSWERS).where(ANSWERS.c.intent == intent).values(answer=answer))


def drop(connection: Connection, intent: int) -> None:
    """Its request may be tried again."""
    connection.execute(delete(ANSWERS).where(ANSWERS.c.intent == intent))


def erase(connection: Connection, scope: Scope) -> int:
    """Take the texts from the answers of a scope; how many. The keys stay: a late repeat must not
    store again what was erased."""
    answered = ANSWERS.c.answer.is_not(None)
    erased = update(ANSWERS).values(answer=None, erased=True)
    return connection.execute(erased.where(within(ANSWERS, scope), answered)).rowcount


def _of(caller: str, key: str) -> ColumnElement[bool]:
    return (ANSWERS.c.caller == caller) & (ANSWERS.c.key == key)


def _is_free() -> ColumnElement[bool]:
    """Neither answered nor going to be, by an intent that is still open."""
    taken = ANSWERS.c.intent.is_not(None) & ANSWERS.c.intent.in_(select(INTENTS.c.seq))
    return ANSWERS.c.answer.is_(None) & ~ANSWERS.c.erased & ~taken


def _update(
    connection: Connection, process: str, repeat: tuple[str, str], **values: object
) -> None:
    """Whoever claimed a key has its row until it is released, or withdrawn; or until its process is
    taken for dead, and the key may belong to another."""
    mine = update(ANSWERS).where(_of(*repeat), ANSWERS.c.process == process)
    if not connection.execute(mine.values(**values)).rowcount:
        raise Withdrawn


def _of_open_job() -> ColumnElement[bool]:
    """However old it is: the job may have waited for a day, and would be done twice."""
    same = (JOBS.c.caller == ANSWERS.c.caller) & (JOBS.c.key == ANSWERS.c.key)
    return exists().where(same, JOBS.c.lane.is_not(None))


def _of_job(connection: Connection, caller: str, key: str) -> Claim | None:
    """What a job with that key has answered, or will; None where it failed or was cancelled."""
    columns = (JOBS.c.fingerprint, JOBS.c.outcome, JOBS.c.erased, JOBS.c.state)
    mine = (JOBS.c.caller == caller) & (JOBS.c.key == key)
    found = connection.execute(select(*columns).where(mine)).first()
    if found is None or found.state in ("failed", "cancelled"):
        return None
    return Claim(
        found.fingerprint, found.outcome if found.state == "succeeded" else None, found.erased
    )


def _runs(connection: Connection, job: str, process: str) -> bool:
    """Until this transaction ends nobody cancels it."""
    mine = (JOBS.c.id == job) & (JOBS.c.process == process)
    state = select(JOBS.c.state).where(mine).with_for_update(read=True)
    return connection.scalar(state) == "running"
