"""Checks that a collection has vectors of the configured embedder."""

from collections.abc import Callable, Sequence

from app.embeddings import EmbedderInfo, Vector, is_finite
from app.errors import EmbedderMismatch, VectorStoreUnavailable
from app.storage.vectors.base import Engine, NoCollection
from app.storage.vectors.points import NewPoint


class PreparedStore(Engine):
    """A store whose collection is made or checked for an embedder before anything is written."""

    def __init__(self) -> None:
        self._prepared: EmbedderInfo | None = None
        self._zero: float | None = None

    def prepare(self, embedder: EmbedderInfo) -> None:
        """Make the collection for `embedder`, or check that it has vectors of this embedder.

        Must be called before anything with vectors. Raises EmbedderMismatch.
        """
        if self._prepared == embedder:
            return
        stored = self.embedder()
        if stored is None:
            self._create(embedder)
            stored = self.embedder() or embedder
        if not stored.name and stored.dimensions == embedder.dimensions:
            self._record_embedder(embedder)
        elif stored != embedder:
            raise EmbedderMismatch(
                f"The stored memories were embedded by {stored}, and the settings say {embedder}. "
                "Go back to that model, or stop the service and run 'python -m app.reembed', "
                "which embeds every memory again and loses none."
            )
        self._prepared = embedder

    def adopt(self, embedder: EmbedderInfo) -> None:
        """Let the collection have vectors of `embedder`. All memories stay and are found by their
        words, but have no vectors until they are written again. No other writer may write
        meanwhile."""
        self._adopt(embedder)
        self._prepared = embedder
        self._zero = None

    def zero(self) -> float | None:
        """The number that `keep_zero` stored for this collection's embedder, if any."""
        if self._zero is None:
            self._zero = self._read_zero()
        return self._zero

    def keep_zero(self, zero: float) -> None:
        """Store the cosine that the collection's embedder gives unrelated texts. Raises the store's
        failures; the number is then known to this process only."""
        self._zero = zero
        self._record_zero(zero)

    def _write_again(
        self, write: Callable[[Sequence[NewPoint]], None], points: Sequence[NewPoint]
    ) -> None:
        """Make the collection, which the server has lost, and `write` once more."""
        if self._prepared is None:
            raise VectorStoreUnavailable("The collection was never made.")
        try:
            self._create(self._prepared)
            write(points)
        except NoCollection:
            raise VectorStoreUnavailable(
                "The collection cannot be made: its name may be taken, by an alias or by one that "
                "QDRANT_API_KEY may not see. Give QDRANT_COLLECTION another name."
            ) from None

    def _checked(self, vector: Vector) -> Vector:
        """`vector`. Raises ValueError for a wrong one, before it is sent: Edge accepts NaN, and
        keeps a write that it refused in its log."""
        dimensions = self._prepared.dimensions if self._prepared else 0
        if len(vector) != dimensions:
            raise ValueError(f"a vector of {len(vector)} numbers, not {dimensions}")
        if not is_finite(vector):
            raise ValueError("a vector with a number that is not finite")
        return vector
