"""The search for a legal order, on histories whose answer is known."""

import itertools
import math
import random
import time
from typing import Any

import pytest

from tests.model.linear import ABSENT, State, Step, find_order


def state(text: str, **metadata: Any) -> State:
    return frozenset({"memory": text, **metadata}.items())


def add(started: float, ended: float, text: str) -> Step:
    return Step("add", started, ended, sets=state(text))


def update(started: float, ended: float, text: str, sees: State = ABSENT) -> Step:
    return Step("update", started, ended, sets=state(text), sees=sees or state(text))


def tag(started: float, ended: float, sees: State, **metadata: Any) -> Step:
    return Step("update", started, ended, sets=frozenset(metadata.items()), sees=sees)


def read(started: float, ended: float, text: str | None, **metadata: Any) -> Step:
    sees = None if text is None else state(text, **metadata)
    return Step("read", started, ended, sees=sees)


def delete(started: float, ended: float) -> Step:
    return Step("delete", started, ended)


def clear(started: float, ended: float) -> Step:
    return Step("clear", started, ended)


NEVER = math.inf
LEGAL = {
    "one after the other": [add(1, 2, "a"), update(3, 4, "b"), read(5, 6, "b"), delete(7, 8)],
    "not there before and after": [
        read(1, 2, None),
        add(3, 4, "a"),
        delete(5, 6),
        read(7, 8, None),
    ],
    "a read beside an update sees either": [
        add(1, 2, "a"),
        update(3, 10, "b"),
        read(4, 5, "a"),
        read(6, 7, "b"),
    ],
    "updates at the same time in either order": [
        add(1, 2, "a"),
        update(3, 6, "b"),
        update(4, 5, "c"),
        read(7, 8, "b"),
    ],
    "a failed update that took place late": [
        add(1, 2, "a"),
        update(3, NEVER, "b"),
        read(5, 6, "a"),
        read(7, 8, "b"),
    ],
    "a failed update that never did": [add(1, 2, "a"), update(3, NEVER, "b"), read(5, 6, "a")],
    "a failed add that took place": [add(1, NEVER, "a"), read(2, 3, "a")],
    "a failed add that never did": [add(1, NEVER, "a"), read(2, 3, None)],
    "a failed deletion that took place late": [
        add(1, 2, "a"),
        delete(3, NEVER),
        read(4, 5, "a"),
        read(6, 7, None),
    ],
    "of two failed deletions one": [
        add(1, 2, "a"),
        delete(3, NEVER),
        clear(4, NEVER),
        read(6, 7, None),
    ],
    "a clear of nothing": [clear(1, 2), add(3, 4, "a"), clear(5, 6), clear(7, 8)],
    "metadata beside a text": [
        add(1, 2, "a"),
        update(3, 8, "b", state("b", n=1)),
        tag(4, 7, state("a", n=1), n=1),
        read(9, 10, "b", n=1),
    ],
}
ILLEGAL = {
    "a stale read after an acknowledged update": [
        add(1, 2, "a"),
        update(3, 4, "b"),
        read(5, 6, "a"),
    ],
    "a value that nobody wrote": [add(1, 2, "a"), read(3, 4, "b")],
    "a lost update": [add(1, 2, "a"), update(3, 4, "b"), update(5, 6, "c"), read(7, 8, "b")],
    "a lost change of metadata": [
        add(1, 2, "a"),
        tag(3, 6, state("a", m=1), m=1),
        tag(4, 5, state("a", n=1), n=1),
        read(7, 8, "a", n=1),
    ],
    "brought back after its deletion": [add(1, 2, "a"), delete(3, 4), read(5, 6, "a")],
    "brought back after a clear": [add(1, 2, "a"), clear(3, 4), read(5, 6, "a")],
    "gone without a deletion": [add(1, 2, "a"), read(3, 4, None)],
    "gone before its deletion began": [add(1, 2, "a"), read(3, 4, None), delete(5, NEVER)],
    "deleted twice": [add(1, 2, "a"), delete(3, 4), delete(5, 6)],
    "added twice": [add(1, 2, "a"), add(3, 4, "a")],
    "seen before it was added": [read(1, 2, "a"), add(3, 4, "a")],
    "two readers see two orders": [
        add(1, 2, "a"),
        update(3, 20, "b"),
        update(4, 19, "c"),
        read(5, 6, "b"),
        read(7, 8, "c"),
        read(9, 10, "b"),
    ],
    "a failed update seen, then not": [
        add(1, 2, "a"),
        update(3, NEVER, "b"),
        read(4, 5, "b"),
        read(6, 7, "a"),
    ],
    "an update after a deletion": [add(1, 2, "a"), delete(3, 4), update(5, 6, "b")],
    "a failed add seen, then gone": [add(1, NEVER, "a"), read(2, 3, "a"), read(4, 5, None)],
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal(name: str) -> None:
    order = find_order(LEGAL[name])
    assert order.legal, str(order)


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal(name: str) -> None:
    order = find_order(ILLEGAL[name])
    assert not order.legal
    assert str(order.left[0]) in str(order)


def made_up(rng: random.Random, length: int) -> list[Step]:
    """Calls of about eight callers at once, to a memory that answers as it must: each takes place
    at some moment between its beginning and its end."""
    current = state("text")
    steps = [add(-2, -1, "text")]
    for moment in range(10, 10 + length):
        begun, ended = moment - 8 * rng.random(), moment + 8 * rng.random()
        if rng.random() < 0.5:
            steps.append(Step("read", begun, ended, sees=current))
            continue
        text = f"text {moment}"
        fails = rng.random() < 0.1
        if not fails or rng.random() < 0.5:  # else it never takes place
            current = state(text)
        steps.append(update(begun, NEVER if fails else ended, text))
    return steps


@pytest.mark.parametrize("seed", range(10))
def test_hundreds_of_calls_at_once_are_searched_soon(seed: int) -> None:
    began = time.monotonic()
    order = find_order(made_up(random.Random(seed), 400))
    assert order.legal, str(order)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("seed", range(10))
def test_one_wrong_answer_among_hundreds_is_found(seed: int) -> None:
    steps = made_up(random.Random(seed), 300)
    [old, *_, new] = [step for step in steps if step.kind == "update" and step.known]
    assert old.ended < new.started
    stale = Step("read", 1000, 1001, sees=old.sees)
    assert not find_order([*steps, stale]).legal


def test_as_brute_force_says() -> None:
    """Small random histories, of which every order can be tried."""
    rng = random.Random(7)
    found = {True: 0, False: 0}
    for _ in range(400):
        steps = small(rng)
        expected = any(
            is_legal(order)
            for size in range(sum(not step.known for step in steps) + 1)
            for some in itertools.combinations([s for s in steps if not s.known], size)
            for order in itertools.permutations([*some, *(s for s in steps if s.known)])
        )
        assert find_order(steps).legal == expected, steps
        found[expected] += 1
    assert min(found.values()) > 50, found


def small(rng: random.Random) -> list[Step]:
    clock = rng.sample(range(100), 14)
    steps = []
    texts = ["a", "b"]
    for _ in range(rng.randint(3, 6)):
        started, ended = sorted((clock.pop(), clock.pop()))
        until = NEVER if rng.random() < 0.3 else ended
        text = rng.choice(texts)
        steps.append(
            rng.choice(
                [
                    read(started, ended, rng.choice([*texts, None])),
                    read(started, ended, rng.choice(texts)),
                    update(started, until, text),
                    delete(started, until),
                    clear(started, until),
                ]
            )
        )
    return [add(-2, -1, "a"), *steps]


def is_legal(order: tuple[Step, ...]) -> bool:
    now: State = ABSENT
    for place, step in enumerate(order):
        if any(later.ended < step.started for later in order[place + 1 :]):
            return False
        possible, now = step.moves(now)
        if not possible:
            return False
    return True
