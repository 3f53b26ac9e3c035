"""One embedder for many callers: fewer calls, and nobody's failure is another's."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.embeddings import Vector
from app.errors import ProviderRefused, ProviderTimeout, ProviderUnavailable, ServiceError
from app.providers.batching import SharedEmbedder
from app.providers.cache import VectorCache
from tests.service import wait_for


class Model:
    """Embeds a text as its length; can be held, and refuses the text "bad"."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()
        self.failures: list[ServiceError] = []

    def __call__(self, texts: list[str]) -> list[Vector]:
        self.calls.append(texts)
        self.go.wait(20)
        if "bad" in texts:
            raise ProviderRefused("bad")
        if self.failures:
            raise self.failures.pop()
        return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def embed(model: Model) -> SharedEmbedder:
    return SharedEmbedder(model, 20)


def at_once(embed: SharedEmbedder, model: Model, *asked: list[str]) -> list[Any]:
    """What each caller gets, vectors or a failure. All wait before the model answers."""

    def call(texts: list[str]) -> Any:
        try:
            return embed(texts)
        except ServiceError as failure:
            return failure

    model.go.clear()
    with ThreadPoolExecutor(len(asked)) as pool:
        calls = [pool.submit(call, texts) for texts in asked]
        distinct = {text for texts in asked for text in texts}
        wait_for(lambda: len(embed._pending) == len(distinct))
        model.go.set()
        return [one.result(20) for one in calls]


def test_a_text_that_is_known_is_not_asked_again(embed: SharedEmbedder, model: Model) -> None:
    for number in range(100):
        assert embed([f"text {number % 10}"]) == [[6.0, 1.0]]
    assert len(model.calls) == 10


def test_64_different_texts_at_once_take_8_calls_at_most(
    embed: SharedEmbedder, model: Model
) -> None:
    asked = [["x" * length] for length in range(1, 65)]
    answers = at_once(embed, model, *asked)
    assert answers == [[[float(length), 1.0]] for length in range(1, 65)]
    assert len(model.calls) <= 8


def test_the_same_text_at_once_is_asked_once(embed: SharedEmbedder, model: Model) -> None:
    assert at_once(embed, model, *[["same"]] * 20) == [[[4.0, 1.0]]] * 20
    assert model.calls == [["same"]]


def test_one_refused_text_among_16_callers_fails_its_own_alone(
    embed: SharedEmbedder, model: Model
) -> None:
    asked = [["busy" * n] for n in range(1, 5)] + [["bad"]] + [["x" * n] for n in range(1, 16)]
    answers = at_once(embed, model, *asked)
    assert isinstance(answers[4], ProviderRefused)
    others = answers[:4] + answers[5:]
    assert others == [[[float(len(texts[0])), 1.0]] for texts in asked if texts != ["bad"]]


def test_a_caller_with_a_refused_text_of_its_own_is_told_after_one_call(
    embed: SharedEmbedder, model: Model
) -> None:
    with pytest.raises(ProviderRefused):
        embed(["good", "bad"])
    assert model.calls == [["good", "bad"]]


def test_who_joined_a_refused_call_of_another_gets_its_own_answer(
    embed: SharedEmbedder, model: Model
) -> None:
    refused, answer = at_once(embed, model, ["good", "bad"], ["good"])
    assert isinstance(refused, ProviderRefused)
    assert answer == [[4.0, 1.0]]


def test_a_service_that_is_down_is_not_asked_once_more_for_each_caller(
    embed: SharedEmbedder, model: Model
) -> None:
    model.failures = [ProviderUnavailable("down")] * 16
    answers = at_once(embed, model, *[[f"text {n}"] for n in range(16)])
    assert all(isinstance(answer, ProviderUnavailable) for answer in answers)
    assert len(model.calls) <= 5


def test_no_more_than_4_calls_run_at_once(model: Model) -> None:
    running: list[int] = []
    changing = threading.Lock()
    four = threading.Event()  # a quick machine would else have ended one before the next begins
    most = 0

    def ask(texts: list[str]) -> list[Vector]:
        nonlocal most
        with changing:
            running.append(1)
            most = max(most, len(running))
            if most == 4:
                four.set()
        four.wait(5)
        vectors = model(texts)
        with changing:
            running.pop()
        return vectors

    at_once(SharedEmbedder(ask, 20, max_batch=2), model, *[[f"text {n}"] for n in range(20)])
    assert most == 4


def test_a_caller_waits_no_longer_than_its_own_time_behind_calls_that_hang(model: Model) -> None:
    embed = SharedEmbedder(model, 0.3)
    model.go.clear()
    with ThreadPoolExecutor(8) as pool:
        busy = pool.submit(embed, ["text"])
        wait_for(lambda: model.calls)
        started = time.monotonic()
        with pytest.raises(ProviderTimeout):
            embed(["late"])
        assert time.monotonic() - started < 5
        model.go.set()
        assert busy.result(20) == [[4.0, 1.0]]


def test_the_timeout_of_one_who_came_earlier_is_asked_again_for_one_who_joined(
    embed: SharedEmbedder, model: Model
) -> None:
    model.failures = [ProviderTimeout("slow")]
    model.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(embed, ["same"])
        wait_for(lambda: model.calls)
        second = pool.submit(embed, ["same"])
        wait_for(lambda: embed._pending["same"].joined)
        model.go.set()
        with pytest.raises(ProviderTimeout):
            first.result(20)
        assert second.result(20) == [[4.0, 1.0]]


def test_what_a_caller_does_to_its_vector_reaches_nobody(
    embed: SharedEmbedder, model: Model
) -> None:
    first, again = embed(["text", "text"])
    first[0] = 99.0
    assert again == [4.0, 1.0]
    assert embed(["text"]) == [[4.0, 1.0]]


@pytest.mark.parametrize("wrong", [[], [float("nan"), 1.0], [1.0, 2.0, 3.0]], ids=str)
def test_a_vector_that_cannot_be_used_is_not_kept(wrong: Vector) -> None:
    cache = VectorCache()
    cache.put("first", [1.0, 2.0])
    cache.put("text", wrong)
    assert cache.get("text") is None


def test_the_cache_keeps_to_its_bytes_and_drops_what_is_used_least() -> None:
    cache = VectorCache(max_bytes=2 * 8)
    cache.put("a", [1.0, 2.0])
    cache.put("b", [1.0, 2.0])
    cache.get("a")
    cache.put("c", [1.0, 2.0])
    assert cache.get("a")
    assert cache.get("b") is None


def test_another_number_of_vectors_than_texts_is_no_answer_for_anybody() -> None:
    one_for_all: Callable[[list[str]], list[Vector]] = lambda _: [[1.0]]  # noqa: E731
    with pytest.raises(ServiceError):
        SharedEmbedder(one_for_all, 5)(["a", "b"])
