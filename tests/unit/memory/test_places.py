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
