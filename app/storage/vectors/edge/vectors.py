"""Reads the dense vectors in a shard, and finds the memories that have none."""

from collections.abc import Sequence
from typing import Any

from qdrant_edge import CountRequest, EdgeShard, Filter, HasVectorCondition, ScrollRequest

from app.embeddings import Vector
from app.storage.vectors.base import DENSE, SPARSE
from app.storage.vectors.edge.shard import translated
from app.storage.vectors.points import NewPoint, Whole
from app.storage.vectors.ranking import Record

NO_VECTOR = Filter(must_not=[HasVectorCondition(DENSE)])


def read_whole(shard: EdgeShard, ids: Sequence[str]) -> list[Whole]:
    """See `Engine._retrieve_whole`."""
    with translated():
        found = shard.retrieve([*ids], True, [DENSE])
    return [_whole(point) for point in found]


def scroll_whole(shard: EdgeShard, after: Any, limit: int) -> tuple[list[Whole], Any]:
    """See `Engine._scroll_whole`."""
    with translated():
        found, following = shard.scroll(
            ScrollRequest(after, limit, with_payload=True, with_vector=[DENSE])
        )
    return [_whole(point) for point in found], following


def unembedded(shard: EdgeShard, limit: int) -> list[str]:
    asked = ScrollRequest(limit=limit, filter=NO_VECTOR, with_payload=False)
    with translated():
        found, _ = shard.scroll(asked)
    return [str(point.id) for point in found]


def count_unembedded(shard: EdgeShard) -> int:
    with translated():
        return shard.count(CountRequest(filter=NO_VECTOR, exact=True))


def made(point: NewPoint) -> dict[str, Any]:
    """The vectors of a point in Edge's form."""
    words: dict[str, Any] = {SPARSE: point.sparse}
    return words if point.dense is None else words | {DENSE: point.dense}


def _whole(point: Any) -> Whole:
    return Whole(Record(str(point.id), point.payload or {}), _dense(point.vector))


def _dense(vector: Any) -> Vector | None:
    """The dense vector. Edge returns the unnamed vector as a bare list, or nothing."""
    return vector if isinstance(vector, list) and vector else None
