"""Reads the points of a collection with their dense vectors.

Only over REST, because exports and backups, which read them, take long anyway.
"""

from collections.abc import Sequence
from typing import Any

from qdrant_client import QdrantClient

from app.embeddings import Vector
from app.storage.vectors.base import DENSE
from app.storage.vectors.points import Whole
from app.storage.vectors.ranking import Record


def read_whole(client: QdrantClient, collection: str, ids: Sequence[str]) -> list[Whole]:
    """See `Engine._retrieve_whole`."""
    found = client.retrieve(collection, [*ids], with_vectors=[DENSE])
    return [_whole(point) for point in found]


def scroll_whole(
    client: QdrantClient, collection: str, after: Any, limit: int
) -> tuple[list[Whole], Any]:
    """See `Engine._scroll_whole`."""
    found, following = client.scroll(collection, limit=limit, offset=after, with_vectors=[DENSE])
    return [_whole(point) for point in found], following


def _whole(point: Any) -> Whole:
    return Whole(Record(str(point.id), point.payload or {}), _dense(point.vector))


def _dense(vector: Any) -> Vector | None:
    """The dense vector. The unnamed vector comes as a bare list, or in a dict."""
    if isinstance(vector, dict):
        vector = vector.get(DENSE)
    return vector or None
