"""One deadline, one retry, one translation; checked input and output."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import (
    ProviderBadAnswer,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.observability.metrics import ModelMeter
from app.providers.retry import call
from app.providers.validation import (
    MAX_CALL_BYTES,
    MAX_EMBEDDED_BYTES,
    CheckedEmbedder,
    beginning,
)

METER = ModelMeter("llm", "openai/a-model")


class Service:
    """A model's service that fails in the given ways, then answers."""

    def __init__(self, *failures: ServiceError) -> None:
        self.failures = list(failures)
        self.left: list[float] = []

    def __call__(self, left: float) -> str:
        self.left.append(left)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def as_is(error: Exception) -> ServiceError:
    assert isinstance(error, ServiceError)
    return error


class TestCall:
    @pytest.mark.parametrize("failure", [ProviderUnavailable(""), ProviderRateLimited("", 1)])
    def test_tries_once_more_after_what_may_pass(self, failure: ServiceError) -> None:
        service = Service(failure)
        assert call(service, 5, as_is, METER) == "answer"
        assert service.left[1] < service.left[0] == 5

    @pytest.mark.parametrize(
        "failure", [ProviderRefused(""), ProviderTimeout(""), ProviderBadAnswer("")]
    )
    def test_tries_nothing_again_that_will_not_pass(self, failure: ServiceError) -> None:
        service = Service(failure)
        with pytest.raises(type(failure)):
            call(service, 5, as_is, METER)
        assert len(service.left) == 1

    def test_gives_up_after_the_second_failure(self) -> None:
        service = Service(*[ProviderUnavailable("")] * 3)
        with pytest.raises(ProviderUnavailable):
            call(service, 5, as_is, METER)
        assert len(service.left) == 2

    def test_does_not_wait_past_the_time_it_has(self) -> None:
        service = Service(ProviderRateLimited("", 20))
        started = time.monotonic()
        with pytest.raises(ProviderRateLimited) as raised:
            call(service, 5, as_is, METER)
        assert time.monotonic() - started < 1
        assert raised.value.retry_after == 20


class TestEmbedder:
    def embedder(self, answer: Callable[[list[str]], Any]) -> CheckedEmbedder:
        return CheckedEmbedder("test/model", answer)

    def test_asks_for_its_dimension_once(self) -> None:
        asked: list[list[str]] = []

        def answer(texts: list[str]) -> list[list[float]]:
            asked.append(texts)
            return [[0.0, 1.0]] * len(texts)

        embedder = self.embedder(answer)
        assert embedder.info == embedder.info
        assert str(embedder.info) == "test/model (2 dimensions)"
        assert len(asked) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            [],
            [[]],
            [[1.0], [1.0]],
            [[float("nan")]],
            [[float("inf")]],
            [[0.0, 0.0]],
            [[1e300, 1.0]],
        ],
        ids=str,
    )
    def test_refuses_vectors_that_cannot_be_stored(self, answer: list[list[float]]) -> None:
        with pytest.raises(ProviderBadAnswer):
            self.embedder(lambda _: answer).embed("x")

    def test_refuses_another_size_than_before(self) -> None:
        sizes = iter([2, 3])
        embedder = self.embedder(lambda _: [[1.0] * next(sizes)])
        embedder.embed("x")
        with pytest.raises(ProviderBadAnswer, match="of 3 numbers, and others have 2"):
            embedder.embed("x")

    def test_splits_what_is_too_much_for_one_call_and_keeps_the_order(self) -> None:
        calls: list[int] = []

        def answer(texts: list[str]) -> list[list[float]]:
            calls.append(sum(len(text.encode()) for text in texts))
            return [[1.0 + float(text[:3])] for text in texts]

        texts = [f"{n:03d}" + "x" * 8000 for n in range(100)]
        assert self.embedder(answer).embed_batch(texts) == [[1.0 + n] for n in range(100)]
        assert max(calls) <= MAX_CALL_BYTES
        assert len(calls) == 4

    @pytest.mark.parametrize("text", ["x" * 9000, "茶" * 9000, "🏔️" * 9000, "é" * 4095 + "茶"])
    def test_takes_the_beginning_of_a_long_text_without_breaking_a_character(
        self, text: str
    ) -> None:
        cut = beginning(text)
        assert text.startswith(cut)
        assert MAX_EMBEDDED_BYTES - 4 < len(cut.encode()) <= MAX_EMBEDDED_BYTES

    def test_takes_a_short_text_whole(self) -> None:
        assert beginning("茶" * 2730) == "茶" * 2730
