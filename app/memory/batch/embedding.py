"""Vectors for a batch: what one text makes fail fails its own add, what is down is not asked on."""

from collections.abc import Iterator, Sequence

from app.embeddings import Vector
from app.errors import OF_ONE_TEXT, ProviderBadAnswer, ProviderTimeout, ServiceError
from app.memory.batch.parts import Part
from app.memory.embedding import CollectionEmbedder

FEW = 8  # texts that an embedder has time for which has none for many
HOPELESS = 20  # bodies that were refused, and none that was not: so will the others be

Embedded = tuple[Part, Sequence[Vector]]


class BatchEmbedder:
    """The embedder, for the parts of one batch."""

    def __init__(self, embedder: CollectionEmbedder) -> None:
        self._embedder = embedder
        self._embedded = self._refused = 0
        self._is_slow = False
        self.failure: ServiceError | None = None
        """Why the embedder is not asked any more."""

    def __call__(self, parts: Sequence[Part]) -> Iterator[Embedded]:
        """Those that could be embedded, with the vectors of their texts; the others have their
        failure as outcome."""
        texts = [part.given.texts() for part in parts]
        try:
            if self.failure:
                raise self.failure
            vectors = iter(self._embedder.embed([one for some in texts for one in some], "add"))
        except ServiceError as failure:
            for smaller in self._divided(parts, failure):
                yield from self(smaller)
            return
        self._embedded += len(parts)
        for part, some in zip(parts, texts, strict=True):
            yield part, [next(vectors) for _ in some]

    def _divided(self, parts: Sequence[Part], failure: ServiceError) -> list[Sequence[Part]]:
        """In what smaller calls to ask again. None: `failure` is theirs."""
        of_one = type(failure) in (*OF_ONE_TEXT, ProviderBadAnswer)
        if of_one and len(parts) > 1 and not self.failure:
            half = (len(parts) + 1) // 2
            return [parts[:half], parts[half:]]
        if type(failure) is ProviderTimeout and len(parts) > FEW and not self._is_slow:
            self._is_slow = True
            return [parts[start : start + FEW] for start in range(0, len(parts), FEW)]
        for part in parts:
            part.outcome = failure
        self._refused += len(parts)
        if not of_one or (not self._embedded and self._refused >= HOPELESS):
            self.failure = failure
        return []
