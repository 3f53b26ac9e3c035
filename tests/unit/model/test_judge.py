"""The judge, on made-up rounds: what is wrong is found, and what may be is not."""

import math
from typing import Any

import pytest

from tests.model.judge import Judge
from tests.model.looking import Memories, Row
from tests.model.ops import Op

ADD = {"add": 1}


def memory(text: str = "note", **metadata: Any) -> dict[str, Any]:
    return {"id": "m", "user_id": "ann", "memory": text, "metadata": {**ADD, **metadata}}


def op(kind: str, started: int, ended: float, status: int | None = 200, **fields: Any) -> Op:
    if kind == "add":
        fields |= {"texts": ["note"], "values": ADD}
    elif kind not in ("reset", "purge", "delete_all", "get_all"):
        fields |= {"memory_id": "m"}
    return Op(kind, "ann", started, ended=ended, status=status, **fields)


def text(started: int, ended: float, text: str, status: int = 200) -> Op:
    answer = {"result": memory(text)} if status == 200 else None
    return op("text", started, ended, status, values={"memory": text}, answer=answer)


def rows(*texts: str | None, deleted: bool = False) -> list[Row]:
    kinds = ["ADD", *["UPDATE"] * (len(texts) - 1)]
    found: list[Row] = [
        {"event": kind, "old_memory": old, "new_memory": new}
        for kind, old, new in zip(kinds, [None, *texts], texts, strict=False)
    ]
    if deleted:
        found.append({"event": "DELETE", "old_memory": texts[-1], "new_memory": None})
    return found


def judged(ops: list[Op], after: Memories, history: list[Row]) -> set[str]:
    judge = Judge(failures=True)
    judge.settle(ops, after)
    judge.hear("m", history, after.get("m"))
    return {kind for kind, found in judge.found.items() if found}


ADDED = op("add", 1, 2, 201, ids=["m"])
FAILED_ADD = op("add", 1, math.inf, 503)
FAILED_DELETE = op("delete", 3, math.inf, 503)
FAILED_PURGE = op("purge", 3, math.inf, 503)

RIGHT = {
    "added": ([ADDED], {"m": memory()}, rows("note")),
    "updated": ([ADDED, text(3, 4, "new")], {"m": memory("new")}, rows("note", "new")),
    "deleted": ([ADDED, op("delete", 3, 4)], {}, rows("note", deleted=True)),
    "failed and stored": ([FAILED_ADD], {"m": memory()}, rows("note")),
    "failed and not": ([FAILED_ADD], {}, []),
    "a failed update took place": (
        [ADDED, text(3, math.inf, "new", 503)],
        {"m": memory("new")},
        rows("note", "new"),
    ),
    "a failed update did not": (
        [ADDED, text(3, math.inf, "new", 503)],
        {"m": memory()},
        rows("note"),
    ),
    "a failed delete took place": ([ADDED, FAILED_DELETE], {}, rows("note", deleted=True)),
    "reset": ([ADDED, op("reset", 3, 4)], {}, []),
    "purged": ([ADDED, op("purge", 3, 4)], {}, rows(None, deleted=True)),
    "a failed purge did not take place": ([ADDED, FAILED_PURGE], {"m": memory()}, rows("note")),
}
WRONG = {
    "gone": ([ADDED], {}, rows("note"), {"lost", "history"}),
    "an update is gone": (
        [ADDED, text(3, 4, "new")],
        {"m": memory()},
        rows("note", "new"),
        {"lost", "history"},
    ),
    "an update of a failed add went with it": (
        [FAILED_ADD, text(3, 4, "new")],
        {},
        [],
        {"lost", "history"},
    ),
    "stored twice": (
        [FAILED_ADD],
        {"m": memory(), "n": {**memory(), "id": "n"}},
        rows("note"),
        {"doubled"},
    ),
    "brought back": (
        [ADDED, op("delete", 3, 4)],
        {"m": memory()},
        rows("note"),
        {"resurrected"},
    ),
    "no row for the add": ([ADDED], {"m": memory()}, [], {"history"}),
    "no row for the delete": ([ADDED, op("delete", 3, 4)], {}, rows("note"), {"history"}),
    "no rows for a deleted one": ([ADDED, op("delete", 3, 4)], {}, [], {"history"}),
    "deleted twice": (
        [ADDED, op("delete", 3, 4)],
        {},
        [*rows("note", deleted=True), *rows("note", deleted=True)[1:]],
        {"history"},
    ),
    "told twice": (
        [ADDED, op("metadata", 3, 4, values={"k": 3}, answer={"result": memory(k=3)})],
        {"m": memory(k=3)},
        rows("note", "note", "note"),
        {"history"},
    ),
    "purged without being deleted": (
        [ADDED, FAILED_PURGE],
        {"m": memory()},
        rows(None),
        {"history"},
    ),
    "purged by nobody": (
        [ADDED, op("delete", 3, 4)],
        {},
        rows(None, deleted=True),
        {"history"},
    ),
    "a state is left out": (
        [ADDED, text(3, 4, "b"), text(5, 6, "c")],
        {"m": memory("c")},
        [*rows("note"), *rows("b", "c")[1:]],
        {"history"},
    ),
    "a defect": ([ADDED, text(3, math.inf, "b", 500)], {"m": memory()}, rows("note"), {"refused"}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be_is_not_found_fault_with(name: str) -> None:
    ops, after, history = RIGHT[name]
    assert judged(ops, after, history) == set()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str) -> None:
    ops, after, history, kinds = WRONG[name]
    assert judged(ops, after, history) == kinds


def test_half_a_deletion_that_was_cut_off_is_found() -> None:
    two = Op("add", "ann", 1, ended=2, status=201, ids=["m", "n"], texts=["note"] * 2, values=ADD)
    cut_off = op("delete_all", 3, math.inf, None)
    judge = Judge()
    judge.settle([two, cut_off], {"m": memory()})
    assert judge.found["halved"]


def test_one_of_an_earlier_round_that_comes_back_is_found() -> None:
    judge = Judge()
    judge.settle([ADDED, op("delete", 3, 4)], {})
    judge.settle([], {"m": memory()})
    assert judge.found["resurrected"]
