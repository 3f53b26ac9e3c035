"""The places of memories in the order of writing."""

from typing import Any

from app.memory.places import Places
from app.security.scopes import Scope
from app.storage.payloads import PLACE

ALICE: Scope = {"user_id": "alice"}
RUN: Scope = {"user_id": "alice", "run_id": "r"}


def given(places: Places, scope: Scope, number: int = 1) -> list[int | None]:
    payloads: list[dict[str, Any]] = [{} for _ in range(number)]
    places.give(scope, payloads)
    return [payload.get(PLACE) for payload in payloads]


def test_one_after_the_other_has_the_next_number() -> None:
    places = Places()
    ((first,), (second,)) = given(places, ALICE), given(places, ALICE)
    assert first is not None
    assert second == first + 1


def test_each_conversation_has_an_order_of_its_own() -> None:
    places = Places()
    (first,) = given(places, ALICE)
    given(places, RUN)
    given(places, {"user_id": "bob"})
    assert first is not None
    assert given(places, ALICE) == [first + 1]


def test_several_at_once_have_an_order_only_in_a_run() -> None:
    places = Places()
    assert given(places, ALICE, 3) == [None] * 3
    first, second, third = given(places, RUN, 3)
    assert first is not None
    assert (second, third) == (first + 1, first + 2)


def test_what_is_on_both_sides_of_several_at_once_is_not_next_to_each_other() -> None:
    places = Places()
    (before,) = given(places, ALICE)
    given(places, ALICE, 2)
    assert before is not None
    assert given(places, ALICE) == [before + 3]


def test_a_conversation_that_was_forgotten_goes_on_behind_its_end() -> None:
    places = Places(most=1)
    (before,) = given(places, ALICE)
    given(places, RUN)
    (after,) = given(places, ALICE)
    assert before is not None
    assert after is not None
    assert after > before + 1


class TestABatch:
    """In the order of its times."""

    def test_has_places_in_the_order_of_the_times_and_the_sizes_of_the_adds(self) -> None:
        places = Places()
        (before,) = given(places, ALICE)
        late, early, middle = "2024-05-03", "2024-05-01", "2024-05-02"
        asked = [(ALICE, late, 1), (ALICE, early, 2), (ALICE, middle, 3)]
        assert before is not None
        assert places.of_batch(asked) == [before + 6, before + 1, before + 3]
        assert given(places, ALICE) == [before + 7]

    def test_has_none_without_a_run_or_a_time(self) -> None:
        places = Places()
        (before,) = given(places, ALICE)
        assert places.of_batch([(ALICE, None, 1), (ALICE, None, 2)]) == [None, None]
        assert before is not None
        assert given(places, ALICE) == [before + 4]

    def test_has_places_in_a_run_as_it_was_given_and_now_comes_last(self) -> None:
        first, second, third = Places().of_batch([(RUN, None, 1), (RUN, "2024", 1), (RUN, None, 1)])
        assert second is not None
        assert (first, third) == (second + 1, second + 2)

    def test_numbers_each_conversation_by_itself(self) -> None:
        places = Places()
        bob: Scope = {"user_id": "bob"}
        (alice,), (other,) = given(places, ALICE), given(places, bob)
        assert alice is not None
        assert other is not None
        found = places.of_batch([(ALICE, "2", 1), (bob, "1", 1), (ALICE, "1", 1)])
        assert found == [alice + 2, other + 1, alice + 1]
