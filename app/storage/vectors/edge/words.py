"""Reads and writes the words of points in a shard, without their dense vectors."""

from collections.abc import Mapping
from typing import Any

from qdrant_edge import EdgeShard, PointVectors, ScrollRequest, SparseVector, UpdateOperation

from app.storage.vectors.base import SPARSE
from app.storage.vectors.edge.shard import translated
from app.storage.vectors.points import Worded


def read_words(shard: EdgeShard, after: Any, limit: int) -> tuple[list[Worded], Any]:
    """See `Engine._worded`."""
    asked = ScrollRequest(after, limit, with_payload=["data"], with_vector=[SPARSE])
    with translated():
        points, following = shard.scroll(asked)
    return [_worded(point) for point in points], following


def update_words(shard: EdgeShard, words: Mapping[str, SparseVector]) -> None:
    made = [PointVectors(id_, {SPARSE: one}) for id_, one in words.items()]
    with translated():
        shard.update(UpdateOperation.update_vectors(made))


def _worded(point: Any) -> Worded:
    words = point.vector.get(SPARSE) if point.vector else None
    return Worded.of(str(point.id), point.payload, words)
