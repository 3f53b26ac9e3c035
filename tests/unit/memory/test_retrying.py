"""Which failures of a job are tried again, when, and until when."""

import pytest

from app.errors import (
    InvalidRequest,
    LLMNotConfigured,
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    RequestInProgress,
    ServiceError,
    StorageFull,
    TooManyRequests,
    VectorStoreTimeout,
)
from app.memory.jobs.retrying import (
    BAD_ANSWERS,
    GIVE_UP_S,
    INTERRUPTIONS,
    LONGEST_S,
    back_off,
    pause,
    pause_after_interruption,
)


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("x"),
        ProviderTimeout("x"),
        VectorStoreTimeout("x"),
        TooManyRequests("x"),
        RequestInProgress(),
        StorageFull("x"),
    ],
)
def test_what_may_help_is_tried_again_for_a_day(error: ServiceError) -> None:
    assert pause(error, 1, 0) is not None
    assert pause(error, 400, GIVE_UP_S - 3600) is not None
    assert pause(error, 400, GIVE_UP_S) is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("x"),
        LLMNotConfigured(),
        ProviderAuthFailed("x"),
        ProviderRefused("x"),
    ],
)
def test_what_cannot_help_is_not(error: ServiceError) -> None:
    assert pause(error, 1, 0) is None


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    assert [back_off(number) for number in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert back_off(10_000) == LONGEST_S


def test_a_service_that_says_when_is_asked_then() -> None:
    assert pause(ProviderRateLimited("x", 40), 1, 0) == 40
    assert pause(ProviderRateLimited("x", 40), 9, 0) == 256


def test_a_model_that_answers_nonsense_is_asked_some_times() -> None:
    assert pause(ProviderBadAnswer("x"), BAD_ANSWERS - 1, 0) is not None
    assert pause(ProviderBadAnswer("x"), BAD_ANSWERS, 0) is None


def test_what_ends_the_process_each_time_is_given_up() -> None:
    assert pause_after_interruption(1) == 1
    assert pause_after_interruption(INTERRUPTIONS) is None
