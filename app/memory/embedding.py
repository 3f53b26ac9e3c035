"""The embedder together with the collection that its vectors are stored in."""

import logging
from itertools import combinations

import numpy as np

from app.embeddings import EmbedderInfo, Vector
from app.errors import ServiceError
from app.memory.embedding_again import EmbeddingAgain
from app.providers.base import Embedder
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

UNRELATED = (
    "The train to the coast leaves at seven in the morning.",
    "Her grandmother's recipe needs two eggs and a lemon.",
    "Interest rates were raised by a quarter of a percent.",
    "The goalkeeper broke his wrist in the second half.",
    "A leaking tap in the kitchen wastes a lot of water.",
    "The museum shows masks from West Africa until May.",
    "My password has to be changed every ninety days.",
    "Wolves were seen again in the forests of the north.",
)
"""Unrelated texts, whose mean cosine is the embedder's `zero`. With e5, before its language-neutral
step, they gave .75; values from .70 to .75 ranked best."""


class CollectionEmbedder:
    """An embedder that makes or checks the collection before it embeds anything."""

    def __init__(self, store: VectorStore, embedder: Embedder, again: EmbeddingAgain) -> None:
        self._store = store
        self._embedder = embedder
        self._again = again

    @property
    def info(self) -> EmbedderInfo:
        return self._embedder.info

    def prepare(self) -> None:
        """Make or check the collection, for vectors that exist already. Raises what `embed`
        raises."""
        self._again.prepare()

    def embed(self, texts: list[str], action: str) -> list[Vector]:
        """Raises EmbedderMismatch, the failures of the embedder, and for a search BeingEmbedded."""
        self._again.prepare()
        if action == "search":
            self._again.check()
        return self._embedder.embed_batch(texts, action)

    def zero(self) -> float:
        """The cosine that the embedder gives unrelated texts. Where the embedder does not know it,
        it is measured once and kept with the store. Raises the failures of the embedder."""
        if self._embedder.zero is not None:
            return self._embedder.zero
        kept = self._store.zero()
        if kept is None:
            kept = _mean_cosine(self._embedder.embed_batch([*UNRELATED], "add"))
            try:
                self._store.keep_zero(kept)
            except ServiceError as error:  # a search must also work where writing fails
                log.warning("not kept beside the vectors: %s: %s", error.code, error.detail)
        return kept


def _mean_cosine(vectors: list[Vector]) -> float:
    """The mean cosine of all pairs, bounded to 0 .. 0.95."""
    units = [np.asarray(vector) / (np.linalg.norm(vector) or 1.0) for vector in vectors]
    cosines = [float(one @ other) for one, other in combinations(units, 2)]
    # 0.95, because scores are divided by 1 - zero; 0, because a negative one would raise scores.
    return min(max(0.0, sum(cosines) / len(cosines)), 0.95)
