"""Idempotency keys: an add that is sent again gives the first answer and stores nothing.

After the IETF draft draft-ietf-httpapi-idempotency-key-header. Key, intent and answer share the
history database's transactions, so that after a crash the key is settled with its intent.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import IdempotencyKeyReused, RequestInProgress
from app.memory.history import History
from app.scopes import Scope

WAIT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class Repeat:
    """What makes two requests the same: who asks, the key, and the body's fingerprint."""

    caller: str
    key: str
    fingerprint: str


def once(
    history: History, process: str, repeat: Repeat, scope: Scope, work: Callable[[], str]
) -> str:
    """The answer of `work`, or the one that it gave when this was asked before.

    `work` keeps its answer with `History.finish` or `History.answer`. While the first is at work
    the second waits for up to 5 s; then, RequestInProgress. A failure is not remembered: asking
    again tries again. IdempotencyKeyReused where the key came with another body.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        found = history.claim(repeat.caller, repeat.key, repeat.fingerprint, process, scope)
        if found is None:
            break
        if found.fingerprint != repeat.fingerprint:
            raise IdempotencyKeyReused
        if found.answer is not None:
            return found.answer
        if time.monotonic() > deadline:
            raise RequestInProgress
        time.sleep(POLL_S)
    try:
        return work()
    except BaseException:
        # Not where an intent of it is still open: that will be settled with its key.
        history.release(repeat.caller, repeat.key)
        raise
