"""Embeds the texts of a batch. A text that is refused fails only its own add; a provider that is
down is not asked again."""

from collections.abc import Callable, Iterator, Sequence

from app.embeddings import Vector
from app.errors import OF_ONE_TEXT, ProviderBadAnswer, ProviderTimeout, ServiceError
from app.memory.batch.parts import Part

FEW = 8  # adds in one call, after a call with more of them was too slow
HOPELESS = 20  # after so many refused adds, and none embedded, the others are not tried

Embedded = tuple[Part, Sequence[Vector]]


class BatchEmbedder:
    """Embeds the parts of one batch."""

    def __init__(self, embed: Callable[[list[str], str], list[Vector]]) -> None:
        """`embed` is the method of CollectionEmbedder."""
        self._embed = embed
        self._embedded = self._refused = 0
        self._is_slow = False
        self.failure: ServiceError | None = None
        """Why the embedder is not asked any more."""

    def __call__(self, parts: Sequence[Part]) -> Iterator[Embedded]:
        """The parts that could be embedded, with the vectors of their texts. Each other part has
        its failure as outcome."""
        if self._is_slow and len(parts) > FEW:
            yield from self._each(_few(parts))
            return
        texts = [part.given.texts() for part in parts]
        try:
            if self.failure:
                raise self.failure
            vectors = iter(self._embed([one for some in texts for one in some], "add"))
        except ServiceError as failure:
            yield from self._each(self._divided(parts, failure))
            return
        self._embedded += len(parts)
        for part, some in zip(parts, texts, strict=True):
            yield part, [next(vectors) for _ in some]

    def _each(self, smaller: Sequence[Sequence[Part]]) -> Iterator[Embedded]:
        for parts in smaller:
            yield from self(parts)

    def _divided(self, parts: Sequence[Part], failure: ServiceError) -> list[Sequence[Part]]:
        """The smaller calls to make after `failure`. Where there are none, `failure` becomes the
        outcome of `parts`."""
        of_one = type(failure) in (*OF_ONE_TEXT, ProviderBadAnswer)
        if of_one and len(parts) > 1 and not self.failure:
            half = (len(parts) + 1) // 2
            return [parts[:half], parts[half:]]
        if type(failure) is ProviderTimeout and len(parts) > FEW and not self.failure:
            self._is_slow = True
            return _few(parts)
        for part in parts:
            part.outcome = failure
        self._refused += len(parts)
        if not of_one or (not self._embedded and self._refused >= HOPELESS):
            self.failure = failure
        return []


def _few(parts: Sequence[Part]) -> list[Sequence[Part]]:
    return [parts[start : start + FEW] for start in range(0, len(parts), FEW)]
