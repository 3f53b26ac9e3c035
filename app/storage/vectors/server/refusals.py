"""Turns refusals of a Qdrant server into ServiceErrors, by the table in `kinds`."""

import re
from typing import NamedTuple

from app.errors import (
    ServiceError,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.storage.vectors.server.kinds import KINDS, Kind, NotAllowed, ReplicasFailed

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TIMED_OUT = 400, 401, 403, 404, 408
CONFLICT, LIMITED, FAILED = 409, 429, 500
_OF_SHARDS = re.compile(r"\d+ out of \d+ shards")

OF_LEADER = "via leader peer"
"""Part of the error of a node that cannot reach another one. The node itself works, and will go on
without the other."""


class Refusal(NamedTuple):
    """An error that the server answered."""

    status: int
    """The status over REST."""
    said: str = ""
    retry_after: int | None = None


def error_of(refusal: Refusal, *, replicated: bool = False) -> ServiceError:
    """The error for `refusal`. `replicated`: the collection has several replicas, of which one may
    carry out what another refuses."""
    kind = next((kind for kind in KINDS if kind.said.search(refusal.said)), None)
    error = _worded(kind, refusal) if kind else _unworded(refusal)
    if refusal.retry_after is not None:
        error.retry_after = refusal.retry_after
    # One shard may have carried out what another refused.
    perhaps = _OF_SHARDS.search(refusal.said) or (replicated and kind and kind.of_replica)
    if perhaps and not isinstance(error, VectorStoreTimeout | ReplicasFailed):
        unsure = VectorStoreUnavailable(error.detail)
        unsure.retry_after = error.retry_after or unsure.retry_after
        return unsure
    return error


def _worded(kind: Kind, refusal: Refusal) -> ServiceError:
    found = kind.said.search(refusal.said)
    named = {name: value or "" for name, value in found.groupdict().items()} if found else {}
    return kind.error(kind.detail.format(**named))


def _unworded(refusal: Refusal) -> ServiceError:
    status = refusal.status
    if status in (UNAUTHORIZED, FORBIDDEN):
        return NotAllowed("The Qdrant server refuses the key: check QDRANT_API_KEY.")
    if status == TIMED_OUT:
        return VectorStoreTimeout("The Qdrant server did not get done in its own time.")
    if status == LIMITED:
        return VectorStoreRefused("The Qdrant server is at its limits.")
    failed = f"The Qdrant server failed ({status})."
    clean = BAD_REQUEST <= status < FAILED
    return VectorStoreRefused(failed) if clean else VectorStoreUnavailable(failed)
