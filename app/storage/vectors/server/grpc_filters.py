"""Converts filters to gRPC messages.

The client could convert them by its models, but that costs as much as the rest of a small call. A
test checks that both conversions are equal.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from qdrant_client import grpc as messages

from app.storage.payloads import instant
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import EPOCH

CLAUSES = ("must", "should", "must_not")
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def as_message(where: Filter) -> Any:
    """`where`, with the conditions that `filters` and `paging` make, as a message."""
    must, should, must_not = (map(_condition, where.get(clause, ())) for clause in CLAUSES)
    return messages.Filter(must=[*must], should=[*should], must_not=[*must_not])


def point_ids(given: Sequence[str]) -> list[Any]:
    return [messages.PointId(uuid=one) for one in given]


def _condition(given: Filter) -> Any:
    if "key" in given:
        return messages.Condition(field=_field(given))
    if "has_id" in given:
        chosen = messages.HasIdCondition(has_id=point_ids(given["has_id"]))
        return messages.Condition(has_id=chosen)
    if "is_null" in given:
        return messages.Condition(is_null=messages.IsNullCondition(key=given["is_null"]["key"]))
    if "is_empty" in given:
        return messages.Condition(is_empty=messages.IsEmptyCondition(key=given["is_empty"]["key"]))
    return messages.Condition(filter=as_message(given))


def _field(given: Filter) -> Any:
    key = given["key"]
    if "match" in given:
        [(kind, value)] = given["match"].items()
        return messages.FieldCondition(key=key, match=_match(kind, value))
    bounds = given["range"]
    if any(isinstance(bound, str) for bound in bounds.values()):
        times = {name: _timestamp(bound) for name, bound in bounds.items()}
        return messages.FieldCondition(key=key, datetime_range=messages.DatetimeRange(**times))
    return messages.FieldCondition(key=key, range=messages.Range(**bounds))


def _match(kind: str, value: Any) -> Any:
    match kind, value:
        case "text", str():
            return messages.Match(text=value)
        case "substring", str():
            return messages.Match(substring=value)
        case "any", list():
            return messages.Match(keywords=messages.RepeatedStrings(strings=value))
        case "value", bool():
            return messages.Match(boolean=value)
        case "value", int():
            return messages.Match(integer=value)
        case "value", str():
            return messages.Match(keyword=value)
    raise ValueError(f"no such match: {kind}")


def _timestamp(text: str) -> Any:
    """The fields of a protobuf Timestamp."""
    since = instant(text) - EPOCH
    return {"seconds": since // _SECOND, "nanos": since % _SECOND // _MICROSECOND * 1000}
