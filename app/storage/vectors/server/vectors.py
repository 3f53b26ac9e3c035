"""The points of a collection with their vectors of meaning.

Over REST alone: they are read for exports, which take their time.
"""

from collections.abc import Sequence
from typing import Any

from qdrant_client import QdrantClient

from app.embeddings import Vector
from app.storage.vectors.base import DENSE, Whole
from app.storage.vectors.ranking import Record


def read_whole(client: QdrantClient, collection: str, ids: Sequence[str]) -> list[Whole]:
    """See `Engine._retrieve_whole`."""
    found = client.retrieve(collection, [*ids], with_vectors=[DENSE])
    return [Whole(Record(str(p.id), p.payload or {}), _dense(p.vector)) for p in found]


def _dense(vector: Any) -> Vector | None:
    """The unnamed one comes as it is, or by its name."""
    if isinstance(vector, dict):
        vector = vector.get(DENSE)
    return vector or None
