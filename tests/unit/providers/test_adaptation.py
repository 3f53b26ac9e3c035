"""What a service refuses is found out once; whether it is the context is told by its words."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import ContextTooSmall
from app.providers.adaptation import Adaptation, Choice, Forms
from app.providers.context import context_too_small

CHOICES = {
    "format": Choice(["schema", "json", None], ["response_format"]),
    "cap": Choice(["max_tokens", "max_completion_tokens"], ["max_tokens"]),
}


class Refused(Exception):
    """A 400 of a service."""


class Service:
    """Takes what `takes` says, and refuses the rest in `words`."""

    def __init__(self, words: str, takes: Callable[[Forms], bool]) -> None:
        self.words = words
        self.takes = takes
        self.asked: list[dict[str, Any]] = []

    def __call__(self, forms: Forms) -> str:
        self.asked.append(dict(forms))
        if not self.takes(forms):
            raise Refused(self.words)
        return "answer"


def adaptation() -> Adaptation:
    def refusal(error: Exception) -> str | None:
        return str(error) if isinstance(error, Refused) else None

    return Adaptation("test/model", CHOICES, refusal)


def test_what_is_refused_by_its_name_is_asked_for_in_the_next_form_and_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("Response_Format is not supported", lambda forms: forms["format"] is None)
    known = adaptation()
    with caplog.at_level(logging.WARNING):
        assert known.ask(service) == known.ask(service) == "answer"
    assert [asked["format"] for asked in service.asked] == ["schema", "json", None, None]
    assert {asked["cap"] for asked in service.asked} == {"max_tokens"}
    assert caplog.messages == [
        "test/model does not take format=schema: it is asked with None from now on"
    ]


def test_a_refusal_that_names_nothing_is_raised_at_once() -> None:
    service = Service("no", lambda _: False)
    with pytest.raises(Refused):
        adaptation().ask(service)
    assert len(service.asked) == 1


def test_what_was_not_taken_in_the_end_is_not_remembered() -> None:
    service = Service("the text 'response_format' is not allowed", lambda _: False)
    known = adaptation()
    with pytest.raises(Refused):
        known.ask(service)
    service.takes = lambda _: True
    known.ask(service)
    assert service.asked[-1]["format"] == "schema"


def test_another_failure_is_no_refusal() -> None:
    def fails(_forms: Forms) -> str:
        raise TimeoutError("response_format")

    with pytest.raises(TimeoutError):
        adaptation().ask(fails)


@pytest.mark.parametrize(
    ("words", "asked", "takes"),
    [
        (
            '{"error":{"code":400,"message":"request (5031 tokens) exceeds the available context '
            'size (4096 tokens), try increasing it","type":"exceed_context_size_error",'
            '"n_prompt_tokens":5031,"n_ctx":4096}}',
            "5031",
            "4096",
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9550 "
            "tokens (8050 in the messages, 1500 in the completion).",
            "9550",
            "8192",
        ),
        (
            "The decoder prompt (length 8050) is longer than the maximum model length of 4096.",
            "8050",
            "4096",
        ),
        (
            "Trying to keep the first 8050 tokens when context the overflows. However, the model "
            "is loaded with context length of only 4096 tokens",
            "8050",
            "4096",
        ),
        (
            "The input (8050 tokens) is longer than the model's context length (4096 tokens).",
            "8050",
            "4096",
        ),
        ("prompt is too long: 208310 tokens > 200000 maximum", "208310", "200000"),
        ("Range of input length should be [1, 6000]", None, "6000"),
        (
            "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
            "40000",
            "32768",
        ),
        ("the input length exceeds the context length", None, None),
        (
            "the prompt is longer than the context length currently available to the model",
            None,
            None,
        ),
    ],
)
def test_a_context_that_is_too_small_is_known_with_its_numbers(
    words: str, asked: str | None, takes: str | None
) -> None:
    failure = context_too_small(words, "a-model")
    assert isinstance(failure, ContextTooSmall)
    assert "a-model" in failure.detail
    for number in filter(None, [asked, takes]):
        assert number in failure.detail
    assert "None" not in failure.detail


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "'response_format.type' must be 'json_schema' or 'text'",
        "The response was filtered due to the prompt triggering the content management policy.",
    ],
)
def test_other_refusals_are_not_about_the_context(words: str) -> None:
    assert context_too_small(words, "a-model") is None
