"""Room for so many at once, a short queue, and a clear no to the others."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import TooManyRequests
from app.memory.limits import Places
from tests.service import wait_for


def test_no_more_than_the_places_are_taken_and_who_finds_no_room_is_refused() -> None:
    places = Places(2, seconds=0.05)
    with places.taken(), places.taken(), pytest.raises(TooManyRequests) as refused, places.taken():
        pass
    assert refused.value.retry_after
    with places.taken(), places.taken():
        pass


def test_one_in_the_queue_gets_the_place_that_becomes_free() -> None:
    places = Places(1, seconds=20)

    def take() -> str:
        with places.taken():
            return "had a place"

    with ThreadPoolExecutor(1) as pool:
        with places.taken():
            waiting = pool.submit(take)
            wait_for(lambda: not places._may_wait._value)
            with pytest.raises(TooManyRequests), places.taken():  # the queue is full
                pass
        assert waiting.result(20) == "had a place"


def test_a_failure_gives_its_place_back() -> None:
    places = Places(1, seconds=0.05)
    with pytest.raises(KeyError), places.taken():
        raise KeyError
    with places.taken():
        pass
