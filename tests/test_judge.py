"""The judge of tests/test_crash.py finds what is wrong; else what it finds well proves nothing."""

from typing import Any

import pytest

from tests.test_crash import Judge, Memories, Op, Row, mistake


def memory(text: str = "tea", **metadata: Any) -> dict[str, Any]:
    return {"memory": text, "user_id": "ann", "metadata": metadata}


def done(kind: str, at: int, status: int = 200, **what: Any) -> Op:
    return Op(kind, "ann", at, ended=at + 1, status=status, **what)


def unanswered(kind: str, at: int, **what: Any) -> Op:
    return Op(kind, "ann", at, **what)


ADDED = done("add", 0, 201, texts=["tea"], ids=["m"])
TWO = done("add", 0, 201, texts=["tea", "milk"], ids=["m", "n"])
CHANGE: dict[str, Any] = {"memory_id": "m", "values": {"memory": "coffee"}}

SOUND: dict[str, tuple[list[Op], Memories]] = {
    "an add": ([ADDED], {"m": memory()}),
    "an update": ([ADDED, done("text", 2, **CHANGE)], {"m": memory("coffee")}),
    "an update that took place": (
        [ADDED, unanswered("text", 2, **CHANGE)],
        {"m": memory("coffee")},
    ),
    "an update that did not": ([ADDED, unanswered("text", 2, **CHANGE)], {"m": memory()}),
    "a delete that took place": ([ADDED, unanswered("delete", 2, memory_id="m")], {}),
    "an add that took place": ([unanswered("add", 0, texts=["tea"])], {"m": memory()}),
    "an add that did not": ([unanswered("add", 0, texts=["tea"])], {}),
    "a delete_all": ([TWO, done("delete_all", 2)], {}),
}
WRONG: dict[str, tuple[str, list[Op], Memories]] = {
    "an add that is gone": ("lost", [ADDED], {}),
    "an update that is gone": ("lost", [ADDED, done("text", 2, **CHANGE)], {"m": memory()}),
    "metadata that nobody gave": ("lost", [ADDED], {"m": memory(key=1)}),
    "a delete that is gone": (
        "resurrected",
        [ADDED, done("delete", 2, memory_id="m")],
        {"m": memory()},
    ),
    "one that was said to be gone": (
        "resurrected",
        [ADDED, done("delete", 2, 404, memory_id="m")],
        {"m": memory()},
    ),
    "an add twice": ("doubled", [ADDED], {"m": memory(), "n": memory()}),
    "one that nobody added": ("doubled", [ADDED], {"m": memory(), "n": memory("milk")}),
    "half an add": ("halved", [unanswered("add", 0, texts=["tea", "milk"])], {"m": memory()}),
    "half a delete_all": ("halved", [TWO, unanswered("delete_all", 2)], {"m": memory()}),
    "a failure": ("refused", [ADDED, done("delete", 2, 500, memory_id="m")], {"m": memory()}),
}


@pytest.mark.parametrize("case", SOUND)
def test_what_is_as_it_was_told_is_passed(case: str) -> None:
    judge = Judge()
    judge.settle(*SOUND[case])
    judge.conclude()


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_is_found_by_its_kind(case: str) -> None:
    kind, ops, after = WRONG[case]
    judge = Judge()
    judge.settle(ops, after)
    assert kind in {kind for kind, found in judge.found.items() if found}
    with pytest.raises(pytest.fail.Exception, match=kind):
        judge.conclude()


def test_one_of_an_earlier_round_that_comes_back_is_found() -> None:
    judge = Judge()
    judge.settle([ADDED, done("delete", 2, memory_id="m")], {})
    judge.settle([], {"m": memory()})
    assert judge.found["resurrected"]


ADD = {"event": "ADD", "old_memory": None, "new_memory": "tea"}
UPDATE = {"event": "UPDATE", "old_memory": "tea", "new_memory": "milk"}
DELETE = {"event": "DELETE", "old_memory": "tea", "new_memory": None}


@pytest.mark.parametrize(
    ("rows", "now", "wrong"),
    [
        ([ADD], memory(), None),
        ([ADD, UPDATE], memory("milk"), None),
        ([ADD, DELETE], None, None),
        ([UPDATE], memory("milk"), "does not begin with its one ADD"),
        ([ADD, ADD], memory(), "does not begin with its one ADD"),
        ([ADD, DELETE, DELETE], None, "goes on after its DELETE"),
        ([ADD, UPDATE, UPDATE], memory("milk"), "leaves something out"),
        ([ADD], None, "is gone without a DELETE"),
        ([ADD, UPDATE], memory("tea"), "ends with another text"),
    ],
)
def test_a_history_that_cannot_be_is_found(
    rows: list[Row], now: Row | None, wrong: str | None
) -> None:
    assert mistake(rows, now) == wrong
