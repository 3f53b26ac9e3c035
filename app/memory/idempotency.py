"""Idempotency keys: an add that is sent again gets the first answer, and stores nothing.

Follows the IETF's draft-ietf-httpapi-idempotency-key-header. The key, the intent and the answer are
written in the same transactions of the history database, so that after a crash the key is recovered
with its intent. A deletion keeps the key and its answer, and a purge keeps the key: a late repeat
must not store again what was deleted.
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
    """Identifies a request. Two requests are the same if caller, key and fingerprint are equal."""

    caller: str
    key: str
    fingerprint: str
    fingerprint_by_0_1: str
    """The fingerprint of the same body in version 0.1, which may have stored it."""
    job: str | None = None
    """The id of the job, where this request is a run of one."""


def run_once(writer: Writer, key: IdempotencyKey, scope: Scope, work: Callable[[], str]) -> str:
    """The answer of `work`, or the answer of an earlier request with the same key.

    `work` must store its answer, with its intent or by `Answers.answer`. While the first request is
    being done, a second one waits for up to 5 s and then raises RequestInProgress. A failure is not
    stored: a repeat runs `work` again, once it is known whether the failed write took place.

    Raises IdempotencyKeyReused where the key came with another body, IdempotencyKeyErased where its
    memories were purged since, and Withdrawn where its job was cancelled.
    """
    earlier = claimed(writer, key, scope)
    if earlier is not None:
        return earlier
    with released_on_failure(writer, [key]):
        return work()


@contextmanager
def released_on_failure(writer: Writer, keys: Sequence[IdempotencyKey]) -> Iterator[None]:
    """Releases `keys` where the work within raises an error, so that a repeat runs again."""
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
    """Release `keys`, so that a repeat runs again. A key with an open intent stays claimed, and is
    recovered with the intent."""
    for key in keys:
        writer.journal.answers.release(key.caller, key.key, writer.journal.process)


def claimed(writer: Writer, key: IdempotencyKey, scope: Scope) -> str | None:
    """The answer of an earlier request; None where this request now holds the key. Raises what
    `run_once` raises."""
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
    """Claim all keys. Returns for each None where this request now holds it, else the claim of the
    earlier request. Raises Withdrawn."""
    wanted = [Wanted(key.caller, key.key, key.fingerprint, scope, key.job) for key, scope in asked]
    return writer.journal.answers.claim_all(wanted, writer.journal.process)


def answer_of(found: Claim, key: IdempotencyKey) -> str | None:
    """The answer of the claim `found`; None while its request is being done. Raises
    IdempotencyKeyReused and IdempotencyKeyErased."""
    if found.fingerprint not in (key.fingerprint, key.fingerprint_by_0_1):
        raise IdempotencyKeyReused
    if found.erased:
        raise IdempotencyKeyErased
    return found.answer
