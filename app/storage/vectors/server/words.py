"""Reads and writes the words of a collection's points, without their dense vectors.

Only over REST, because only `python -m app.reembed` does it.
"""

from collections.abc import Mapping
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_edge import SparseVector

from app.storage.vectors.base import SPARSE
from app.storage.vectors.points import Worded
from app.storage.vectors.server.errors import check_completed


def read_words(
    client: QdrantClient, collection: str, after: Any, limit: int
) -> tuple[list[Worded], Any]:
    """See `Engine._worded`."""
    points, following = client.scroll(
        collection, limit=limit, offset=after, with_payload=["data"], with_vectors=[SPARSE]
    )
    return [_worded(point) for point in points], following


def update_words(client: QdrantClient, collection: str, words: Mapping[str, SparseVector]) -> None:
    made = [
        models.PointVectors(
            id=id_,
            vector={SPARSE: models.SparseVector(indices=one.indices, values=one.values)},
        )
        for id_, one in words.items()
    ]
    check_completed(client.update_vectors(collection, made, wait=True).status)


def _worded(point: Any) -> Worded:
    found = (point.vector or {}).get(SPARSE)
    words = SparseVector(indices=found.indices, values=found.values) if found else None
    return Worded.of(str(point.id), point.payload, words)
