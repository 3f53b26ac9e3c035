"""An embedder that is choosy, slow or down, and what arrives."""

from collections.abc import Callable

import pytest

from app.embeddings import EmbedderInfo, Vector
from app.errors import (
    ProviderAuthFailed,
    ProviderContentFiltered,
    ProviderTimeout,
    ServiceError,
)
from app.memory.transfer.arriving import Arriving, of_memory
from app.memory.transfer.embedding import ArrivingEmbedder
from app.memory.transfer.models import MemoryLine
from app.memory.transfer.report import Report

HERE = EmbedderInfo("test/words", 1)


class Moody:
    """Refuses what its mood refuses."""

    info = HERE

    def __init__(self, mood: Callable[[list[str]], ServiceError | None]) -> None:
        self._mood = mood
        self.calls: list[int] = []

    def prepare(self) -> None:
        self.calls.append(0)

    def embed(self, texts: list[str], action: str) -> list[Vector]:
        self.calls.append(len(texts))
        if failure := self._mood(texts):
            raise failure
        return [[float(len(text))] for text in texts]


def arriving(*texts: str, **fields: object) -> list[Arriving]:
    return [
        of_memory(number, MemoryLine(memory=text, user_id="a", **fields), HERE, HERE)
        for number, text in enumerate(texts, 1)
    ]


def embedded(mood: Moody, some: list[Arriving]) -> tuple[list[int], dict[str, object]]:
    """The lines that got a vector, and the report."""
    report = Report(dry_run=False)
    ready = ArrivingEmbedder(mood, report)(some)  # type: ignore[arg-type]
    return [one.line for one, _ in ready], report.to_json()


def test_a_refused_text_fails_its_own_line() -> None:
    def mood(texts: list[str]) -> ServiceError | None:
        return ProviderContentFiltered("not this") if "bad" in texts else None

    texts = [f"text {n}" for n in range(20)]
    lines, report = embedded(Moody(mood), arriving(*texts, "bad", *texts[::-1]))
    assert lines == [*range(1, 21), *range(22, 42)]
    assert report["failed"] == [
        {"line": 21, "code": "provider_content_filtered", "detail": "not this"}
    ]
    assert report["embedded"] == 40


def test_one_that_has_no_time_for_many_is_given_few() -> None:
    def mood(texts: list[str]) -> ServiceError | None:
        return ProviderTimeout("slow") if len(texts) > 8 else None

    moody = Moody(mood)
    lines, _ = embedded(moody, arriving(*(f"text {n}" for n in range(100))))
    assert len(lines) == 100
    assert moody.calls[0] == 64
    assert max(moody.calls[1:]) == 8


@pytest.mark.parametrize("failure", [ProviderTimeout(""), ProviderAuthFailed("")])
def test_one_that_takes_nothing_ends_the_import(failure: ServiceError) -> None:
    moody = Moody(lambda texts: failure)
    with pytest.raises(type(failure)):
        embedded(moody, arriving(*(f"text {n}" for n in range(100))))
    assert len(moody.calls) <= 2


def test_one_that_refuses_every_text_is_not_asked_for_all() -> None:
    moody = Moody(lambda texts: ProviderContentFiltered(""))
    with pytest.raises(ProviderContentFiltered):
        embedded(moody, arriving(*(f"text {n}" for n in range(1000))))
    assert len(moody.calls) < 60


def test_long_texts_are_asked_for_by_their_length() -> None:
    moody = Moody(lambda texts: None)
    embedded(moody, arriving(*("x" * 60_000 for _ in range(3))))
    assert moody.calls == [1, 1, 1]


def test_what_brings_its_vectors_is_not_asked_for() -> None:
    moody = Moody(lambda texts: None)
    lines, report = embedded(moody, arriving("a", "b", vector=[1.0]))
    assert (lines, report["embedded"], moody.calls) == ([1, 2], 0, [0])
