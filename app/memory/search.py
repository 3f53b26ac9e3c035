"""Search by meaning and by words."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from app.errors import ModelFailed
from app.memory.embedding import CollectionEmbedder
from app.storage.vectors.filters import Filter
from app.storage.vectors.paging import Chunk, merged, size_of, sliced
from app.storage.vectors.ranking import Ranked, candidates, rank
from app.storage.vectors.store import VectorStore

AUTO: Literal["auto"] = "auto"
MEANT, ALL_WORDS = 0.30, 0.9
"""The threshold `auto` empties an answer in which no result has this `similarity` or `keyword`. On
LoCoMo that empties 1% of the answers to questions that have one, and 78% of those to questions
about somebody else; benchmarks/README.md says which questions it cannot tell apart."""


class Best(NamedTuple):
    results: Iterator[list[Ranked]]
    """Lists in the size that `merged` makes; each is read from the store when it is taken."""
    degraded: str | None
    """Why only words were searched; None where meaning was, too."""


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

        For `corpus` see `VectorStore.hybrid`. With the threshold `auto` the answer is empty where
        no memory is likely to be meant. Where a model failed, only words are searched.
        """
        vector, degraded, zero = None, None, 0.0
        try:
            [vector] = self._embedder.embed([query], "search")
            zero = self._embedder.zero()
        except ModelFailed as error:
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


def _reason(error: ModelFailed) -> str:
    return f"By words alone. {error.code}: {error.detail}"
