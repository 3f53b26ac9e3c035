"""Search by meaning and by words."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from app.errors import (
    BeingEmbedded,
    EmbedderMismatch,
    ModelNotReady,
    ProviderBadAnswer,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.memory.embedding import CollectionEmbedder
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Chunk, merged, size_of, sliced
from app.storage.vectors.ranking import Ranked, candidates, rank
from app.storage.vectors.store import VectorStore

AUTO: Literal["auto"] = "auto"
MEANT, ALL_WORDS = 0.30, 0.9
"""What one result must have, in `similarity` or in `keyword`, for an answer under `auto` not to be
empty. On LoCoMo that empties 1% of the answers to questions that have one, and 78% of those to
questions about somebody else; benchmarks/README.md says which it cannot tell."""

NOT_EMBEDDED = (
    BeingEmbedded,
    EmbedderMismatch,
    ModelNotReady,
    ProviderBadAnswer,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)


class Best(NamedTuple):
    results: Iterator[list[Ranked]]
    """In lists as `merged` makes them, read as they are taken."""
    degraded: str | None
    """Why they were found by words alone; None where by meaning too."""


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
        threshold: float | Literal["auto"] | None = None,
        corpus: Filter | None = None,
    ) -> Best:
        """The best `limit` memories by meaning and by words, see `ranking`.

        `corpus` is that of `VectorStore.hybrid`. `auto` is no memory at all where none of them is
        likely to be meant.
        """
        vector, degraded, zero = None, None, 0.0
        try:
            [vector] = self._embedder.embed([query], "search")
            zero = self._embedder.zero()
        except NOT_EMBEDDED as error:
            degraded = _reason(error)
        hits = self._store.hybrid(
            query, vector, where, candidates(limit), corpus=corpus, ids_only=True
        )
        best = _above(threshold, rank(*hits, limit, zero))
        chunks = merged(self._hydrated(part) for part in sliced(best, self._store.read_at_once))
        return Best((chunk.items for chunk in chunks), degraded)

    def _hydrated(self, best: Sequence[Ranked]) -> Chunk[Ranked]:
        records = self._store.hydrate([found.record for found in best])
        there = [
            Ranked(record, found.similarity, found.keyword, found.neighbours)
            for found, record in zip(best, records, strict=True)
            if record is not None
        ]
        return Chunk(there, sum(size_of(found.record) for found in there))


def _above(threshold: float | Literal["auto"] | None, best: list[Ranked]) -> list[Ranked]:
    if threshold == AUTO:
        likely = any(one.similarity >= MEANT or one.keyword >= ALL_WORDS for one in best)
        return best if likely else []
    return [one for one in best if one.score >= (threshold or 0)]


def _reason(error: ServiceError) -> str:
    return f"By words alone. {error.code}: {error.detail}"
