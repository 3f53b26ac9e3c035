"""Calls of the size that a service takes: found out once, told, remembered."""

import logging

import pytest

from app.errors import (
    EmbedderInputTooLong,
    ProviderAuthFailed,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderTooManyTexts,
    ServiceError,
)
from app.providers.fitting import FittingCalls, bytes_of, cut


class Embedder:
    """Takes `most` texts at once, of `longest` bytes, and none of `bad`."""

    def __init__(
        self,
        most: int = 1000,
        longest: int = 10**6,
        says: type[ServiceError] = ProviderTooManyTexts,
        bad: str = "",
    ) -> None:
        self.most = most
        self.longest = longest
        self.says = says
        self.bad = bad
        self.calls: list[int] = []
        self.sent: list[str] = []

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.calls.append(len(texts))
        if len(texts) > self.most or self.bad in texts:
            raise self.says("no")
        if any(len(text.encode()) > self.longest for text in texts):
            raise EmbedderInputTooLong("no")
        self.sent += texts
        return [[float(len(text))] for text in texts]


def texts(number: int) -> list[str]:
    return ["x" * n for n in range(1, number + 1)]


@pytest.mark.parametrize("number", [1, 10, 11, 12, 100, 257])
def test_every_text_gets_its_vector_in_its_place(number: int) -> None:
    found = FittingCalls("m")(texts(number), Embedder(most=10))
    assert found == [[float(n)] for n in range(1, number + 1)]


def test_a_size_that_was_taken_is_kept_and_told(caplog: pytest.LogCaptureFixture) -> None:
    calls, service = FittingCalls("test/m"), Embedder(most=10)
    with caplog.at_level(logging.WARNING):
        calls(texts(12), service)
        calls(texts(12), service)
    assert service.calls == [12, 6, 6, 6, 6]
    assert len(caplog.messages) == 1
    assert "test/m takes fewer texts at once: it is asked for 6" in caplog.text


def test_a_size_that_is_known_costs_no_call() -> None:
    service = Embedder(most=10)
    FittingCalls("m", batch=10)(texts(25), service)
    assert service.calls == [10, 10, 5]


def test_a_refusal_without_a_reason_is_chance_the_first_time() -> None:
    calls, service = FittingCalls("m"), Embedder(most=10, says=ProviderRefused)
    calls(texts(12), service)
    calls(texts(12), service)
    calls(texts(12), service)
    assert service.calls == [12, 6, 6, 12, 6, 6, 6, 6]


def test_one_text_that_is_refused_changes_nothing_for_others() -> None:
    calls = FittingCalls("m")
    for _ in range(3):
        with pytest.raises(ProviderRefused):
            calls([*texts(4), "bad"], Embedder(bad="bad", says=ProviderRefused))
    service = Embedder()
    calls(texts(100), service)
    assert service.calls == [100]


@pytest.mark.parametrize("says", [ProviderAuthFailed, ProviderMisconfigured])
def test_what_is_not_of_the_size_is_asked_for_once(says: type[ServiceError]) -> None:
    service = Embedder(bad="x", says=says)
    with pytest.raises(says):
        FittingCalls("m")(texts(12), service)
    assert service.calls == [12]


def test_a_text_that_is_too_long_is_embedded_by_its_beginning_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls, service = FittingCalls("test/m"), Embedder(longest=600)
    with caplog.at_level(logging.WARNING):
        calls(["short", "茶" * 1000], service)
        calls(["茶" * 2000], service)
    assert service.sent == ["short", "茶" * 125, "茶" * 125]
    assert "test/m takes no longer texts" in caplog.messages[0]
    assert service.calls == [2, 1, 1, 1, 1, 1, 1]


def test_texts_that_are_too_long_together_stay_whole() -> None:
    class Together(Embedder):
        def __call__(self, texts: list[str]) -> list[list[float]]:
            if sum(map(len, texts)) > 1000:
                raise EmbedderInputTooLong("no")
            return super().__call__(texts)

    service = Together()
    FittingCalls("m")(["x" * 400] * 5, service)
    assert service.sent == ["x" * 400] * 5


def test_one_text_of_which_the_service_says_that_it_is_a_batch_too_large_is_shortened() -> None:
    class Batches(Embedder):
        def __call__(self, texts: list[str]) -> list[list[float]]:
            if sum(map(len, texts)) > 1000:
                raise ProviderTooManyTexts("no")
            return super().__call__(texts)

    assert FittingCalls("m")(["x" * 1600], Batches()) == [[800.0]]


def test_a_text_that_is_refused_at_any_length_is_refused() -> None:
    service = Embedder(longest=3)
    with pytest.raises(EmbedderInputTooLong):
        FittingCalls("m")(["tea" * 1000], service)
    assert len(service.calls) < 10


def test_one_long_text_that_is_refused_without_a_reason_may_be_too_long() -> None:
    class Silent(Embedder):
        def __call__(self, texts: list[str]) -> list[list[float]]:
            try:
                return super().__call__(texts)
            except EmbedderInputTooLong:
                raise ProviderRefused("400") from None

    service = Silent(longest=2000)
    assert FittingCalls("m")(["x" * 5000], service) == [[1250.0]]


def test_tokens_are_counted_in_bytes() -> None:
    assert bytes_of(512) == 1536
    assert bytes_of(8191) == 8191
    assert bytes_of(32768) == 32768
    assert cut("茶茶茶", 7) == "茶茶"
    assert cut("茶", 1) == "茶"
