"""Vectors for what arrives: what one text makes fail fails its own line alone."""

from collections.abc import Iterator, Sequence

from app.embeddings import Vector
from app.errors import OF_ONE_TEXT, ProviderBadAnswer, ProviderTimeout, ServiceError
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.arriving import Arriving
from app.memory.transfer.report import Report

TEXTS, CHARACTERS = 64, 100_000
"""Of one call, so that others' requests come in between."""
FEW = 8  # texts that an embedder has time for which has none for many
HOPELESS = 20  # texts that were refused, and none that was not: so will the others be

Points = Sequence[tuple[Arriving, Vector]]


class ArrivingEmbedder:
    """The embedder, for one import."""

    def __init__(self, embedder: CollectionEmbedder, report: Report) -> None:
        self._embedder = embedder
        self._report = report
        self._most = TEXTS
        self._embedded = self._refused = 0

    def __call__(self, arriving: Sequence[Arriving]) -> Points:
        """Those with a vector, their own or one that is made now; whose text is refused is
        reported. Raises what is not of one text."""
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
        """In what smaller calls to ask again; none, where it is of the one text."""
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
