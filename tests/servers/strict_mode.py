"""Strict mode as Qdrant has it: what a collection refuses of what it is asked.

https://qdrant.tech/documentation/guides/administration/#strict-mode; the words of the refusals
are those of a server 1.19.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.servers.base import Json

INDEXES = {"match": "keyword", "range": "integer", "text": "text", "substring": "text"}
UNLIMITED = "Rate limiting exceeded: {} rate limit exceeded, request larger than rate limiter"


class QdrantError(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass
class StrictMode:
    """The limits of one collection, as `strict_mode_config` names them; none unless enabled."""

    limits: dict[str, Any] = field(default_factory=dict)
    _spent: dict[str, tuple[float, float]] = field(default_factory=dict)

    def change(self, given: dict[str, Any]) -> None:
        self.limits |= given
        self._spent.clear()

    def limit(self, name: str) -> Any:
        return self.limits.get(name) if self.limits.get("enabled") else None

    # ------------------------------------------------------------------ checks

    def check_rows(self, body: dict[str, Any]) -> None:
        most = self.limit("max_query_limit")
        asked = body.get("limit", 10)
        if most is not None and asked > most:
            raise over("limit", asked, most)

    def check_batch(self, kind: str, size: int) -> None:
        most = self.limit("upsert_max_batchsize" if kind == "upsert limit" else f"{kind}_batchsize")
        if most is not None and size > most:
            raise over(kind, size, most)

    def check_exact(self, exact: Any) -> None:
        if exact and self.limit("search_allow_exact") is False:
            raise refused("Exact search disabled!.", "Set exact=false.")

    def check_indexes(self, count: int) -> None:
        most = self.limit("max_payload_index_count")
        if most is not None and count >= most:
            raise refused(
                f"Collection already has the maximum number of payload indices ({most}).",
                "Please delete an existing index before creating a new one.",
            )

    def check_points(self, count: int) -> None:
        most = self.limit("max_points_count")
        if most is not None and count >= most:
            raise refused(
                f"Max points count limit of {most} reached!.", "Delete points before adding more."
            )

    def check_filter(self, filter_: Json, indexed: dict[str, Json], *, update: bool) -> None:
        conditions = [*flat(filter_)]
        most = self.limit("filter_max_conditions")
        if most is not None and len(conditions) > most:
            raise refused(
                f"Filter condition limit reached ({len(conditions)} > {most}).",
                "Reduce the amount of conditions of your filter.",
            )
        self._check_sizes(conditions)
        if self.limit(f"unindexed_filtering_{'update' if update else 'retrieve'}") is False:
            for condition in conditions:
                check_indexed(condition, indexed)

    def _check_sizes(self, conditions: list[dict[str, Any]]) -> None:
        most = self.limit("condition_max_size")
        for condition in conditions:
            values = condition.get("has_id") or (condition.get("match") or {}).get("any") or []
            if most is not None and len(values) > most:
                raise refused(
                    f"Condition size limit reached ({len(values)} > {most}).",
                    "Reduce the size of your condition.",
                )

    def spend(self, kind: str, tokens: int) -> None:
        """Of the tokens of a minute; `kind` is read or write."""
        most = self.limit(f"{kind}_rate_limit")
        if most is None:
            return
        name = kind.capitalize()
        if tokens > most:
            text = UNLIMITED.format(name) + " capacity, please try to split your request"
            raise QdrantError(429, text)
        left, then = self._spent.get(kind, (float(most), time.monotonic()))
        left = min(most, left + (time.monotonic() - then) * most / 60)
        if tokens > left:
            wait = math.ceil((tokens - left) * 60 / most)
            raise QdrantError(
                429,
                f"Rate limiting exceeded: {name} rate limit exceeded: Operation requires {tokens} "
                f"tokens but only {left:.1f} were available. Retry after {wait}s",
                {"Retry-After": str(wait)},
            )
        self._spent[kind] = (left - tokens, time.monotonic())


def refused(what: str, help_: str) -> QdrantError:
    return QdrantError(400, f"Bad request: {what} Help: {help_}")


def over(name: str, asked: int, most: int) -> QdrantError:
    return refused(
        f'Limit exceeded {asked} > {most} for "{name}".',
        f'Reduce the "{name}" parameter to or below {most}.',
    )


def flat(filter_: Json) -> Iterator[dict[str, Any]]:
    """The conditions of a filter and of those inside it."""
    if not isinstance(filter_, dict):
        return
    clauses = [filter_[name] for name in ("must", "should", "must_not") if filter_.get(name)]
    if not clauses:
        if filter_:
            yield filter_
        return
    for clause in clauses:
        for condition in clause if isinstance(clause, list) else [clause]:
            yield from flat(condition)


def check_indexed(condition: dict[str, Any], indexed: dict[str, Json]) -> None:
    if "match" not in condition and "range" not in condition:
        return
    key = condition["key"]
    if key not in indexed:
        kind = "keyword" if "match" in condition else "integer"
        raise refused(
            f'Index required but not found for "{key}" of one of the following types: [{kind}].',
            "Create an index for this key or use a different filter.",
        )
