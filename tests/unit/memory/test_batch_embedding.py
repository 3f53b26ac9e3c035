"""What a batch does about an embedder that refuses a text, is slow, or is down."""

from collections.abc import Sequence

import pytest

from app.embeddings import Vector
from app.errors import (
    ProviderQuotaExceeded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.memory.batch.embedding import HOPELESS, BatchEmbedder
from app.memory.batch.parts import Part
from app.memory.given import Given
from app.memory.requests import AddRequest
from app.memory.validation import validated
from app.security.principal import ADMIN


class Embedder:
    """Refuses, or takes no more than `most` texts in time."""

    def __init__(
        self,
        refused: Sequence[str] = (),
        most: int = 1000,
        failure: type[ServiceError] = ProviderRefused,
    ) -> None:
        self.refused = {*refused}
        self.most = most
        self.failure = failure
        self.calls: list[int] = []

    def embed(self, texts: list[str], _action: str) -> list[Vector]:
        self.calls.append(len(texts))
        if len(texts) > self.most:
            raise ProviderTimeout("too slow")
        if self.refused.intersection(texts):
            raise self.failure("refused")
        return [[float(text)] for text in texts]


def parts(count: int) -> list[Part]:
    asked = [validated(AddRequest, {"data": str(n), "user_id": "a"}, ADMIN) for n in range(count)]
    return [Part(one, Given.of(ADMIN, one, None), inferred=False) for one in asked]


def embedded(embed: BatchEmbedder, some: Sequence[Part]) -> list[str]:
    """The texts that were; each with its own vector."""
    found = [*embed(some)]
    for part, vectors in found:
        assert vectors == [[float(text)] for text in part.given.texts()]
    return [text for part, _ in found for text in part.given.texts()]


def test_one_call_is_enough_where_all_is_well() -> None:
    embedder = Embedder()
    assert embedded(BatchEmbedder(embedder.embed), parts(64)) == [str(n) for n in range(64)]
    assert embedder.calls == [64]


def test_a_refused_text_is_found_by_halves_and_fails_alone() -> None:
    embedder = Embedder(refused=["5"])
    some = parts(64)
    assert embedded(BatchEmbedder(embedder.embed), some) == [str(n) for n in range(64) if n != 5]
    assert [n for n, part in enumerate(some) if part.outcome] == [5]
    assert len(embedder.calls) == 13


def test_an_embedder_that_refuses_everything_is_not_asked_for_each() -> None:
    embedder = Embedder(refused=[str(n) for n in range(200)])
    embed = BatchEmbedder(embedder.embed)
    some = parts(200)
    for start in range(0, 200, 50):
        assert embedded(embed, some[start : start + 50]) == []
    assert all(isinstance(part.outcome, ProviderRefused) for part in some)
    assert len(embedder.calls) < 3 * HOPELESS


@pytest.mark.parametrize("failure", [ProviderUnavailable, ProviderQuotaExceeded])
def test_what_holds_for_all_is_not_asked_again(failure: type[ServiceError]) -> None:
    embedder = Embedder(refused=["1"], failure=failure)
    embed = BatchEmbedder(embedder.embed)
    some = parts(100)
    assert embedded(embed, some[:50]) == []
    assert embedded(embed, some[50:]) == []
    assert {type(part.outcome) for part in some} == {failure}
    assert embedder.calls == [50]


def test_one_that_is_slow_is_asked_for_few() -> None:
    embedder = Embedder(most=10)
    embed = BatchEmbedder(embedder.embed)
    some = parts(100)
    assert embedded(embed, some[:50]) == [str(n) for n in range(50)]
    assert embedded(embed, some[50:]) == [str(n) for n in range(50, 100)]
    assert sum(calls > embedder.most for calls in embedder.calls) == 1


def test_one_that_hangs_is_waited_for_twice() -> None:
    embedder = Embedder(most=0)
    embed = BatchEmbedder(embedder.embed)
    some = parts(100)
    assert embedded(embed, some) == []
    assert {type(part.outcome) for part in some} == {ProviderTimeout}
    assert embedder.calls == [100, 8]
