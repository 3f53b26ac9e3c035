"""Idempotency keys: an add that is sent again gives the first answer and stores nothing.

After the IETF draft draft-ietf-httpapi-idempotency-key-header. Key, intent and answer share the
history database's transactions, so that after a crash the key is settled with its intent. A
deletion keeps the key and its answer, a purge the key alone: a late repeat must not store again
what was deleted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import IdempotencyKeyErased, IdempotencyKeyReused, RequestInProgress
from app.security.scopes import Scope
from app.storage.journal.writer import Writer

WAIT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class IdempotencyKey:
    """What makes two requests the same: who asks, the key, and the body's fingerprint."""

    caller: str
    key: str
    fingerprint: str
    fingerprint_by_0_1: str
    """The same body's, as an earlier version may have kept it."""
    job: str | None = None
    """The id of the job that this is a run of."""


def run_once(writer: Writer, key: IdempotencyKey, scope: Scope, work: Callable[[], str]) -> str:
    """The answer of `work`, or the one that it gave when this was asked before.

    `work` keeps its answer with its intent, or with `Answers.answer`. While the first is at work
    the second waits for up to 5 s; then, RequestInProgress. A failure is not remembered: asking
    again tries again, when it is known whether it took place. IdempotencyKeyReused where the key
    came with another body, IdempotencyKeyErased where its memories were purged since, Withdrawn
    where it is of a job that was cancelled.
    """
    earlier = _claimed(writer, key, scope)
    if earlier is not None:
        return earlier
    try:
        return work()
    except BaseException:
        # Not where an intent of it is still open: that will be settled with its key.
        writer.journal.answers.release(key.caller, key.key)
        raise


def _claimed(writer: Writer, key: IdempotencyKey, scope: Scope) -> str | None:
    """The answer of an earlier request; None: the key is now this one's."""
    journal = writer.journal
    deadline = time.monotonic() + WAIT_S
    while True:
        found = journal.answers.claim(
            key.caller, key.key, key.fingerprint, journal.process, scope, key.job
        )
        if found is None:
            return None
        if found.fingerprint not in (key.fingerprint, key.fingerprint_by_0_1):
            raise IdempotencyKeyReused
        if found.erased:
            raise IdempotencyKeyErased
        if found.answer is not None:
            return found.answer
        journal.clear_key(writer.store, (key.caller, key.key))
        if time.monotonic() > deadline:
            raise RequestInProgress
        time.sleep(POLL_S)
