"""Room for so many at once, a short queue, and a clear no to the others."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import ServiceBusy, TooManyRequests
from app.memory.limits import ConcurrencyLimiter, MemoryBudget
from tests.service import wait_for


def test_no_more_than_the_places_are_taken_and_who_finds_no_room_is_refused() -> None:
    limiter = ConcurrencyLimiter(2, seconds=0.05)
    with (
        limiter.acquire(),
        limiter.acquire(),
        pytest.raises(TooManyRequests) as refused,
        limiter.acquire(),
    ):
        pass
    assert refused.value.retry_after
    with limiter.acquire(), limiter.acquire():
        pass


def test_one_in_the_queue_gets_the_place_that_becomes_free() -> None:
    limiter = ConcurrencyLimiter(1, seconds=20)

    def take() -> str:
        with limiter.acquire():
            return "had a place"

    with ThreadPoolExecutor(1) as pool:
        with limiter.acquire():
            waiting = pool.submit(take)
            wait_for(lambda: not limiter._may_wait._value)
            with pytest.raises(TooManyRequests), limiter.acquire():  # the queue is full
                pass
        assert waiting.result(20) == "had a place"


def test_a_failure_gives_its_place_back() -> None:
    limiter = ConcurrencyLimiter(1, seconds=0.05)
    with pytest.raises(KeyError), limiter.acquire():
        raise KeyError
    with limiter.acquire():
        pass


def test_who_finds_no_memory_left_is_refused_and_what_is_let_go_is_for_others() -> None:
    budget = MemoryBudget(10, seconds=0.05)
    for _ in range(2):
        with budget.holding(6), pytest.raises(ServiceBusy), budget.holding(5):
            pass
    with budget.holding(6), budget.holding(4):
        pass


def test_memory_is_waited_for_unless_some_is_held_already() -> None:
    budget = MemoryBudget(10, seconds=20)

    def take() -> str:
        with budget.holding(5):
            return "had some"

    with ThreadPoolExecutor(1) as pool:
        with budget.holding(6):
            waiting = pool.submit(take)
            with pytest.raises(ServiceBusy), budget.holding(5, waits=False):
                pass
        assert waiting.result(20) == "had some"
