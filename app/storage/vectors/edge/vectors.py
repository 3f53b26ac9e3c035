"""The vectors of meaning in a shard: read with their memories, and which memories have none."""

from collections.abc import Sequence
from typing import Any

from qdrant_edge import CountRequest, EdgeShard, Filter, HasVectorCondition, ScrollRequest

from app.embeddings import Vector
from app.storage.vectors.base import DENSE, Whole
from app.storage.vectors.edge.shard import translated
from app.storage.vectors.ranking import Record

NO_VECTOR = Filter(must_not=[HasVectorCondition(DENSE)])


def read_whole(shard: EdgeShard, ids: Sequence[str]) -> list[Whole]:
    """See `Engine._retrieve_whole`."""
    with translated():
        found = shard.retrieve([*ids], True, [DENSE])
    return [Whole(Record(str(p.id), p.payload or {}), _dense(p.vector)) for p in found]


def unembedded(shard: EdgeShard, limit: int) -> list[str]:
    asked = ScrollRequest(limit=limit, filter=NO_VECTOR, with_payload=False)
    with translated():
        found, _ = shard.scroll(asked)
    return [str(point.id) for point in found]


def count_unembedded(shard: EdgeShard) -> int:
    with translated():
        return shard.count(CountRequest(filter=NO_VECTOR, exact=True))


def _dense(vector: Any) -> Vector | None:
    """Edge gives the unnamed one as it is, or nothing."""
    return vector if isinstance(vector, list) and vector else None
