"""Embeds the memories of an import. A text that is refused fails only its own line."""

from collections.abc import Iterator, Sequence

from app.embeddings import Vector
from app.errors import OF_ONE_TEXT, ProviderBadAnswer, ProviderTimeout, ServiceError
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.arriving import Arriving
from app.memory.transfer.report import Report

TEXTS, CHARACTERS = 64, 100_000
"""The bound of one call to the embedder, so that other requests can be served in between."""
FEW = 8  # texts in one call, after a call with more of them was too slow
HOPELESS = 20  # after so many refused texts, and none embedded, the import fails

Points = Sequence[tuple[Arriving, Vector]]


class ArrivingEmbedder:
    """Embeds the memories of one import."""

    def __init__(self, embedder: CollectionEmbedder, report: Report) -> None:
        self._embedder = embedder
        self._report = report
        self._most = TEXTS
        self._embedded = self._refused = 0

    def __call__(self, arriving: Sequence[Arriving]) -> Points:
        """The memories with their vectors, from the file or made now. One whose text is refused is
        reported and left out. Raises failures that do not concern one text."""
        lacking = [one for one in arriving if one.vector is None]
        if not lacking:
            self._embedder.prepare()
        made = {one.id: vector for one, vector in self._made(lacking)}
        vectors = [(one, one.vector or made.get(one.id)) for one in arriving]
        return [(one, vector) for one, vector in vectors if vector]

    def _made(self, arriving: Sequence[Arriving]) -> Iterator[tuple[Arriving, Vector]]:
        left = [*arriving]
        while left:
            some = self._first(left)
            del left[: len(some)]
            yield from self._ask(some)

    def _first(self, left: Sequence[Arriving]) -> list[Arriving]:
        some: list[Arriving] = []
        size = 0
        for one in left[: self._most]:
            size += len(one.payload["data"])
            if some and size > CHARACTERS:
                break
            some.append(one)
        return some

    def _ask(self, some: Sequence[Arriving]) -> Iterator[tuple[Arriving, Vector]]:
        try:
            vectors = self._embedder.embed([one.payload["data"] for one in some], "add")
        except ServiceError as failure:
            for smaller in self._divided(some, failure):
                yield from self._ask(smaller)
            return
        self._embedded += len(some)
        self._report.count("embedded", len(some))
        yield from zip(some, vectors, strict=True)

    def _divided(
        self, some: Sequence[Arriving], failure: ServiceError
    ) -> Iterator[Sequence[Arriving]]:
        """The smaller calls to make after `failure`; none where it concerns a single text, which
        is then reported."""
        if type(failure) is ProviderTimeout and len(some) > FEW:
            self._most = FEW
            yield from (some[start : start + FEW] for start in range(0, len(some), FEW))
        elif type(failure) not in (*OF_ONE_TEXT, ProviderBadAnswer):
            raise failure
        elif len(some) > 1:
            half = len(some) // 2
            yield from (some[:half], some[half:])
        else:
            self._refused += 1
            if not self._embedded and self._refused >= HOPELESS:
                raise failure
            self._report.fail(some[0].line, failure.code, failure.detail)
