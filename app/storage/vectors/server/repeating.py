"""Writes that are made again at once, where the first try met a node that has just gone."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from app.storage.vectors.server.kinds import ReplicasFailed

QUICK_S = 1.0
"""Only what fails so soon: nobody should wait for several times QDRANT_TIMEOUT."""

Write = TypeVar("Write", bound=Callable[..., None])


def repeated(write: Write) -> Write:
    """For the methods of a store that write, each with the same result any number of times.

    As often as there are `nodes` in that store: each of them may have to find out by itself that
    another is gone.
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
