"""The metadata that this service stores with a collection on a Qdrant server."""

from typing import Any

from qdrant_client import QdrantClient

SIGNATURE = "embedder"  # the name of the embedder
ZERO = "unrelated"  # the cosine of unrelated texts
WORDS = "words"  # the version of the words


class Metadata:
    """The metadata of one collection. Raises the client's own failures."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> dict[str, Any]:
        """The metadata; empty where there is no collection."""
        if not self._client.collection_exists(self._name):
            return {}
        return dict(self._client.get_collection(self._name).config.metadata or {})

    def add(self, known: dict[str, Any]) -> None:
        # With the existing metadata, because some versions of the server replace all of it.
        self._client.update_collection(self._name, metadata=self.read() | known)
