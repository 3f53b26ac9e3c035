"""Idempotency keys: an add that is sent again gives the first answer and stores nothing.

After the IETF draft draft-ietf-httpapi-idempotency-key-header. Key, intent and answer share the
history database's transactions, so that after a crash the key is settled with its intent. A
deletion keeps the key and its answer, a purge the key alone: a late repeat must not store again
what was deleted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import (
    HistoryUnavailable,
    IdempotencyKeyErased,
    IdempotencyKeyReused,
    RequestInProgress,
)
from app.security.scopes import Scope
from app.storage.history.answers import Claim, Wanted, Withdrawn
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
    earlier = claimed(writer, key, scope)
    if earlier is not None:
        return earlier
    with released_on_failure(writer, [key]):
        return work()


@contextmanager
def released_on_failure(writer: Writer, keys: Sequence[IdempotencyKey]) -> Iterator[None]:
    """Let requests be asked again where their work raises something."""
    try:
        yield
    except Withdrawn as error:
        release(writer, keys)
        if any(key.job for key in keys):
            raise
        raise HistoryUnavailable(
            "This process was taken for dead while the request was at work; ask again."
        ) from error
    except BaseException:
        release(writer, keys)
        raise


def release(writer: Writer, keys: Sequence[IdempotencyKey]) -> None:
    """Let these requests be asked again; not where an intent of one is still open: that will be
    settled with its key."""
    for key in keys:
        writer.journal.answers.release(key.caller, key.key, writer.journal.process)


def claimed(writer: Writer, key: IdempotencyKey, scope: Scope) -> str | None:
    """The answer of an earlier request; None: the key is now this one's. Raises what `run_once`
    raises."""
    deadline = time.monotonic() + WAIT_S
    while True:
        (found,) = claim_all(writer, [(key, scope)])
        if found is None:
            return None
        earlier = answer_of(found, key)
        if earlier is not None:
            return earlier
        writer.journal.clear_key(writer.store, (key.caller, key.key))
        if time.monotonic() > deadline:
            raise RequestInProgress
        time.sleep(POLL_S)


def claim_all(writer: Writer, asked: Sequence[tuple[IdempotencyKey, Scope]]) -> list[Claim | None]:
    """For each, None: the key is now this request's. Else what is known of the one before.
    Raises Withdrawn."""
    wanted = [Wanted(key.caller, key.key, key.fingerprint, scope, key.job) for key, scope in asked]
    return writer.journal.answers.claim_all(wanted, writer.journal.process)


def answer_of(found: Claim, key: IdempotencyKey) -> str | None:
    """None while it is at work. Raises IdempotencyKeyReused and IdempotencyKeyErased."""
    if found.fingerprint not in (key.fingerprint, key.fingerprint_by_0_1):
        raise IdempotencyKeyReused
    if found.erased:
        raise IdempotencyKeyErased
    return found.answer
