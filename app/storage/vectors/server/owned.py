"""Whose the points of a collection are, read without their texts and vectors.

Over REST alone: they are looked through once, in the background.
"""

from qdrant_client import QdrantClient

from app.security.scopes import SCOPE_KEYS
from app.storage.payloads import Payload
from app.storage.vectors.server.points import NOBODY


def read_owned(
    client: QdrantClient, collection: str, after: str | None, limit: int
) -> tuple[dict[str, Payload], str | None]:
    """See `Engine._owned`."""
    points, following = client.scroll(
        collection,
        limit=limit,
        offset=after or NOBODY,  # after all numbers, which are no ids of memories
        with_payload=[*SCOPE_KEYS, "expiration_date"],
    )
    owned = {str(point.id): point.payload or {} for point in points}
    return owned, None if following is None else str(following)
