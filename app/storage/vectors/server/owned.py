"""Reads the scopes of a collection's points, without their texts and vectors.

Only over REST, because it is done once, in the background.
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
        offset=after or NOBODY,  # UUIDs come after numbers, which are no ids of memories
        with_payload=[*SCOPE_KEYS, "expiration_date"],
    )
    owned = {str(point.id): point.payload or {} for point in points}
    return owned, None if following is None else str(following)
