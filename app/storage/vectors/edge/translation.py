"""Translates filters, queries and points between our forms and those of Qdrant Edge."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_edge import (
    FieldCondition,
    HasIdCondition,
    IdfParams,
    IsEmptyCondition,
    IsNullCondition,
    MatchAny,
    MatchSubstring,
    MatchText,
    MatchValue,
    Query,
    QueryRequest,
    RangeDateTime,
    RangeFloat,
    SearchParams,
)
from qdrant_edge import Filter as EdgeFilter

from app.storage.payloads import Payload
from app.storage.vectors.base import SPARSE
from app.storage.vectors.edge.details import words_of
from app.storage.vectors.filters import Filter
from app.storage.vectors.points import Nearest
from app.storage.vectors.ranking import Record, turn_of

_CLAUSES = ("must", "should", "must_not")
NOTHING: Payload = {}  # the payload of an `ids_only` record


def to_record(point: Any) -> Record:
    payload, score = point.payload or {}, getattr(point, "score", 0.0)
    words = frozenset(words_of(point.vector))
    return Record(str(point.id), payload, score, words, turn_of(payload))


def to_query(request: Nearest) -> QueryRequest:
    return QueryRequest(
        limit=request.limit,
        query=Query.Nearest(request.vector, using=SPARSE if request.by_words else None),
        filter=to_edge(request.where),
        params=SearchParams(idf=IdfParams(to_edge(request.corpus))) if request.corpus else None,
        with_payload=not request.ids_only,
        with_vector=[SPARSE] if request.by_words and not request.ids_only else False,
    )


def to_edge(where: Filter) -> EdgeFilter:
    """`where` as Edge's own objects."""
    clauses = {name: [_condition(part) for part in parts] for name, parts in where.items()}
    # For Edge nothing matches an empty `should`, so an empty list becomes None.
    must, should, must_not = (clauses.get(name) or None for name in _CLAUSES)
    return EdgeFilter(must=must, should=should, must_not=must_not)


def _condition(part: Filter) -> Any:
    match part:
        case {"has_id": ids}:
            return HasIdCondition({UUID(int=id_) if isinstance(id_, int) else id_ for id_ in ids})
        case {"is_empty": {"key": key}}:
            return IsEmptyCondition(key)
        case {"is_null": {"key": key}}:
            return IsNullCondition(key)
        case {"key": key, "match": match_}:
            return FieldCondition(key, match=_match(match_))
        case {"key": key, "range": bounds}:
            of_times = any(isinstance(bound, str) for bound in bounds.values())
            return FieldCondition(
                key, range=RangeDateTime(**bounds) if of_times else RangeFloat(**bounds)
            )
    return to_edge(part)


def _match(match_: Mapping[str, Any]) -> MatchValue | MatchSubstring | MatchText | MatchAny:
    match match_:
        case {"substring": text}:
            return MatchSubstring(text)
        case {"text": text}:
            return MatchText(text)
        case {"any": texts}:
            return MatchAny(texts)
        case {"value": bool(value)}:
            # Edge takes Python's bool for an int, but recognises numpy's.
            return MatchValue(np.bool_(value))  # type: ignore[arg-type]  # its stubs say bool
    return MatchValue(match_["value"])
