"""What a collection of a Qdrant server says of itself: whose vectors and words it has."""

from typing import Any

from qdrant_client import QdrantClient

SIGNATURE = "embedder"  # who made the vectors
ZERO = "unrelated"  # the cosine of unrelated texts
WORDS = "words"  # the version of the words


class Metadata:
    """Of the collection of a name. The client's own failures are raised."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> dict[str, Any]:
        """Nothing where there is no collection."""
        if not self._client.collection_exists(self._name):
            return {}
        return dict(self._client.get_collection(self._name).config.metadata or {})

    def add(self, known: dict[str, Any]) -> None:
        # With what is there: whether a server adds to it or writes over it is its version's.
        self._client.update_collection(self._name, metadata=self.read() | known)
