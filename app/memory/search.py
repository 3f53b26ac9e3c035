"""Search by meaning and by words, and the embedder of the collection that is searched."""

from collections.abc import Iterator, Sequence

from app.embeddings import EmbedderInfo, Vector
from app.providers.base import Embedder
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Chunk, merged, size_of, sliced
from app.storage.vectors.ranking import Ranked, candidates, rank
from app.storage.vectors.store import VectorStore


class CollectionEmbedder:
    """An embedder for one collection, which is made or checked before anything is embedded."""

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder

    @property
    def info(self) -> EmbedderInfo:
        return self._embedder.info

    def embed(self, texts: list[str], action: str) -> list[Vector]:
        """Raises EmbedderMismatch, and the failures of the embedder."""
        self._store.prepare(self._embedder.info)
        return self._embedder.embed_batch(texts, action)


class Search:
    """Finds the best memories for a query."""

    def __init__(self, store: VectorStore, embedder: CollectionEmbedder) -> None:
        self._store = store
        self._embedder = embedder

    def best(
        self,
        query: str,
        where: Filter,
        *,
        limit: int,
        threshold: float | None = None,
        corpus: Filter | None = None,
    ) -> Iterator[list[Ranked]]:
        """The best `limit` memories by meaning and by words, see `ranking.rank`.

        In lists as `merged` makes them, read as they are taken. `corpus` is that of
        `VectorStore.hybrid`.
        """
        [vector] = self._embedder.embed([query], "search")
        hits = self._store.hybrid(
            query, vector, where, candidates(limit), corpus=corpus, ids_only=True
        )
        best = [found for found in rank(*hits, limit) if found.score >= (threshold or 0)]
        chunks = merged(self._hydrated(part) for part in sliced(best, self._store.read_at_once))
        return (chunk.items for chunk in chunks)

    def _hydrated(self, best: Sequence[Ranked]) -> Chunk[Ranked]:
        records = self._store.hydrate([found.record for found in best])
        there = [
            Ranked(record, found.similarity, found.keyword, found.neighbours)
            for found, record in zip(best, records, strict=True)
            if record is not None
        ]
        return Chunk(there, sum(size_of(found.record) for found in there))
