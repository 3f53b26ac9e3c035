"""The known refusals of a Qdrant server, each with the error that this service raises for it.

The patterns match the texts of Qdrant 1.19 and 1.20, which are the same over REST and gRPC.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import (
    FieldError,
    InvalidRequest,
    ServiceError,
    VectorStoreFull,
    VectorStoreRefused,
    VectorStoreUnavailable,
)

OPERATOR_S = 60
"""Seconds after which a caller should ask again, where an operator must change something first."""


class _Misconfigured(VectorStoreRefused):
    """An operator has to change a setting of the server or of this service."""

    retry_after = OPERATOR_S


class NotAllowed(_Misconfigured):
    """The key, or a limit of the collection, forbids the call."""


class ReplicasFailed(VectorStoreUnavailable):
    """Some replicas did not take the write, and others may have. After that the server excludes the
    failed replicas, so that a repeat can succeed."""


class _Mendable(InvalidRequest):
    """A refusal that the caller can avoid by another request."""

    field = ""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, [FieldError(self.field, detail)] if self.field else ())


class _MendableFilter(_Mendable):
    field = "filters"


@dataclass(frozen=True)
class Kind:
    said: re.Pattern[str]
    detail: str
    """The text of the error, with the named groups of `said` in braces."""
    error: Callable[[str], ServiceError] = _Misconfigured
    of_replica: bool = False
    """Whether one replica may refuse a write that another carries out."""


def _kind(
    said: str,
    detail: str,
    error: Callable[[str], ServiceError] = _Misconfigured,
    *,
    of_replica: bool = False,
) -> Kind:
    return Kind(re.compile(said), detail, error, of_replica)


KINDS = (
    _kind(
        r'Index required but not found for "(?P<key>(user|agent|app|run)_id|hash|\w+_at|\w+_date)"',
        'The Qdrant collection has no index on "{key}", without which its strict mode answers '
        "nothing, and QDRANT_API_KEY may not make one: make it, or give another key.",
    ),
    _kind(
        r'Index required but not found for "(?P<key>[^"]+|"[^"]+")"',
        "The Qdrant collection's strict mode filters only by what has an index, and {key} has "
        "none: leave it out of the filters, or have it named in METADATA_INDEXES.",
        _MendableFilter,
    ),
    _kind(
        r"Filter condition limit reached \((?P<asked>\d+) > (?P<most>\d+)\)",
        "This filters by {asked} conditions, those of the scope among them, and the Qdrant "
        "collection's strict mode allows {most} (filter_max_conditions): leave some out, or have "
        "it raised.",
        _MendableFilter,
    ),
    _kind(
        r"Condition size limit reached \((?P<asked>\d+) > (?P<most>\d+)\)",
        "A condition of this has {asked} values, and the Qdrant collection's strict mode allows "
        "{most} (condition_max_size): give fewer, or have it raised.",
        _MendableFilter,
    ),
    _kind(
        r"MatchInterface",
        "The Qdrant server is too old for the filters contains and icontains: they need 1.20.",
        _MendableFilter,
    ),
    _kind(
        r'Limit exceeded (?P<asked>\d+) > (?P<most>\d+) for "upsert limit"',
        "This writes {asked} memories at once, and the Qdrant collection's strict mode allows "
        "{most} (upsert_max_batchsize): send fewer, or have it raised.",
        _Mendable,
    ),
    _kind(
        r'Limit exceeded (?P<asked>\d+) > (?P<most>\d+) for "(?P<name>[\w ]+)"',
        'The Qdrant collection\'s strict mode allows {most} for "{name}", and this needs {asked}: '
        "raise it.",
    ),
    _kind(
        r"Exact search disabled",
        "The Qdrant collection's strict mode does not count exactly, as totals need it: set its "
        "search_allow_exact to true.",
    ),
    _kind(
        r"Max (?P<what>[\w ]+) limit",
        "The Qdrant collection is as large as its strict mode allows ({what}): raise that, or "
        "delete memories.",
        VectorStoreFull,
        of_replica=True,
    ),
    _kind(
        r"maximum number of payload indices \((?P<most>\d+)\)",
        "The Qdrant collection's strict mode allows {most} indexes (max_payload_index_count), and "
        "this needs one more.",
        NotAllowed,
    ),
    _kind(
        r"(?P<which>Read|Write) rate limit exceeded, request larger",
        "This is more at once than the Qdrant collection's strict mode allows in a minute "
        "({which} rate limit): send less at once, or have it raised.",
        _Mendable,
    ),
    _kind(
        r"(?P<which>Read|Write) rate limit exceeded",
        "The Qdrant collection's strict mode allows no more for now ({which} rate limit): try "
        "again later, or have it raised.",
        VectorStoreRefused,
        of_replica=True,
    ),
    _kind(
        r"larger than allowed|message length too large",
        "This is more at once than the Qdrant server takes (its max_request_size_mb): send less "
        "at once, or have it raised.",
        _Mendable,
    ),
    _kind(
        r"Must provide an API key",
        "The Qdrant server wants a key: set QDRANT_API_KEY.",
        NotAllowed,
    ),
    _kind(
        r"Global manage access is required|Write access to collection",
        "QDRANT_API_KEY may only read: give one that may write.",
        NotAllowed,
    ),
    _kind(
        r"Access to collection \S+ is required",
        "QDRANT_API_KEY is for another collection: give one for QDRANT_COLLECTION, or set that.",
        NotAllowed,
    ),
    _kind(
        r"Only points access|Global access is required",
        "QDRANT_API_KEY may not make or change collections and indexes: have them made by one "
        "that may, or give that one.",
        NotAllowed,
    ),
    _kind(
        r"No space left on device",
        "The disk of the Qdrant server is full: reads go on, and writes when there is room again.",
        VectorStoreFull,
        of_replica=True,
    ),
    _kind(
        r"Insufficient storage",
        "The Qdrant server is at its quota of disk or memory (its /quotas): raise that, or delete "
        "memories.",
        VectorStoreFull,
        of_replica=True,
    ),
    _kind(
        r"Failed to apply (update with \w+ ordering|operation to at least one `Active` replica)",
        "Too few replicas of the Qdrant collection took the write; it is settled when they answer "
        "again: see its /cluster, and start the node that is missing.",
        ReplicasFailed,
    ),
    _kind(
        r"leader is not established|consensus operation commit failed",
        "The nodes of the Qdrant cluster cannot agree: most of them have to be there, see its "
        "/cluster.",
        VectorStoreUnavailable,
    ),
    _kind(
        r"not have enough active replicas|has no active replica",
        "No replica of a shard of the Qdrant collection answers: see its /cluster, and start the "
        "node that is missing.",
        VectorStoreUnavailable,
    ),
    _kind(
        r"Shard temporarily unavailable",
        "A shard of the Qdrant collection is being restored: it answers when that is done.",
        VectorStoreUnavailable,
    ),
    _kind(
        r"internal error: Failed to [\w ]+, ",
        "The Qdrant server is in recovery mode, or could not load the collection: see its log.",
        of_replica=True,
    ),
    _kind(
        r"No range index|No appropriate index",
        "The Qdrant collection lacks an index, and QDRANT_API_KEY may not make it: make it, or "
        "give another key.",
    ),
)
