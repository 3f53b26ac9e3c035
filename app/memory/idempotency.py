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
from app.storage.history.answers import Answers

WAIT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class Repeat:
    """What makes two requests the same: who asks, the key, and the body's fingerprint."""

    caller: str
    key: str
    fingerprint: str


def once(
    answers: Answers,
    process: str,
    repeat: Repeat,
    scope: Scope,
    *,
    work: Callable[[], str],
    settle: Callable[[], None],
) -> str:
    """The answer of `work`, or the one that it gave when this was asked before.

    `work` keeps its answer with its intent, or with `Answers.answer`. While the first is at work
    the second waits for up to 5 s; then, RequestInProgress. A failure is not remembered: asking
    again tries again; `settle` decides about one of which it is not known whether it took place.
    IdempotencyKeyReused where the key came with another body, IdempotencyKeyErased where its
    memories were purged since.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        found = answers.claim(repeat.caller, repeat.key, repeat.fingerprint, process, scope)
        if found is None:
            break
        if found.fingerprint != repeat.fingerprint:
            raise IdempotencyKeyReused
        if found.erased:
            raise IdempotencyKeyErased
        if found.answer is not None:
            return found.answer
        settle()
        if time.monotonic() > deadline:
            raise RequestInProgress
        time.sleep(POLL_S)
    try:
        return work()
    except BaseException:
        # Not where an intent of it is still open: that will be settled with its key.
        answers.release(repeat.caller, repeat.key)
        raise
