"""Repeats writes at once, where the first attempt met a node that has just failed."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from app.storage.vectors.server.kinds import ReplicasFailed

QUICK_S = 1.0
"""Only attempts that fail within so many seconds are repeated, so that no caller waits for several
times QDRANT_TIMEOUT."""

Write = TypeVar("Write", bound=Callable[..., None])


def repeated(write: Write) -> Write:
    """Decorates idempotent writes of a store, so that they are repeated after ReplicasFailed.

    There are as many attempts as `nodes` in the store, because each node may have to notice by
    itself that another has failed.
    """

    @wraps(write)
    def again(store: Any, *args: Any) -> None:
        until = time.monotonic() + QUICK_S
        for left in reversed(range(max(2, store.nodes))):
            try:
                return write(store, *args)
            except ReplicasFailed:
                if not left or time.monotonic() > until:
                    raise

    return again  # type: ignore[return-value]
