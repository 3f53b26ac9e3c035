"""The judges of what processes share, on made-up answers: jobs, keys, repeats."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from tests.model import jobs, keys
from tests.model.jobs import Look
from tests.model.keys import Key, Use
from tests.model.looking import Memories
from tests.model.ops import Op
from tests.model.repeats import Repeat, Repeats

STORED = {"results": [{"id": "m", "memory": "note 1.0"}]}
THERE: Memories = {"m": {"memory": "note 1.0", "metadata": {"add": 1}}}


def add(**fields: Any) -> Op:
    return Op("add", "ann", 1, texts=["note 1.0"], values={"add": 1}, **fields)


def job(**fields: Any) -> Op:
    return add(status=202, job="j", accepted=2, **fields)


def look(state: str, started: float = 20, **answer: Any) -> Look:
    status = {"status": state, "user_id": "ann", **answer}
    return Look("j", started, started + 1, status)


def deletion(kind: str, started: int, ended: float = math.inf, user: str = "ann") -> Op:
    status = None if ended == math.inf else 200
    return Op(kind, user, started, ended=ended, status=status)


def found(op: Op, end: Look, after: Memories, *others: Op) -> set[str]:
    ends = {"j": end}
    jobs.settle([op], ends)
    mistakes: Mapping[str, Iterable[str]] = {
        "lost": jobs.lost([op], ends, [op, *others]),
        "doubled": jobs.doubled([op], after),
    }
    return {kind for kind, lines in mistakes.items() if [*lines]}


class TestJob:
    @pytest.mark.parametrize(
        ("end", "after", "others"),
        [
            (look("succeeded", **STORED), THERE, []),
            (look("succeeded", erased=True), {}, [deletion("purge", 3, 4)]),
            (look("cancelled"), {}, [deletion("delete_all", 3, 4)]),
            (look("cancelled"), {}, [deletion("reset", 3)]),
        ],
    )
    def test_that_ended_as_it_says_is_right(
        self, end: Look, after: Memories, others: list[Op]
    ) -> None:
        assert found(job(), end, after, *others) == set()

    @pytest.mark.parametrize(
        ("end", "after", "others", "mistakes"),
        [
            (Look("j", 20, 21, None), {}, [], {"lost"}),
            (look("running"), {}, [], {"lost"}),
            (look("failed"), {}, [], {"lost"}),
            (look("succeeded"), {}, [], {"lost"}),
            (look("cancelled"), {}, [], {"lost"}),
            (look("cancelled"), {}, [deletion("delete_all", 3, 4, user="bob")], {"lost"}),
            (look("cancelled"), {}, [deletion("delete_all", -1, 0)], {"lost"}),
            (look("cancelled"), THERE, [deletion("delete_all", 3, 4)], {"doubled"}),
            (look("succeeded", erased=True), THERE, [deletion("purge", 3, 4)], {"doubled"}),
        ],
    )
    def test_that_ended_otherwise_is_found(
        self, end: Look, after: Memories, others: list[Op], mistakes: set[str]
    ) -> None:
        assert found(job(), end, after, *others) == mistakes

    def test_that_a_caller_cancelled_is_right(self) -> None:
        assert found(job(may_be_cancelled=True), look("cancelled"), {}) == set()

    def test_that_begins_again_after_its_end_is_found(self) -> None:
        looks = [look("pending", 1), look("succeeded", 3)]
        assert [*jobs.changed_after_the_end(looks)] == []
        assert [*jobs.changed_after_the_end([*looks, look("running", 5)])]
        assert [*jobs.changed_after_the_end([*looks, Look("j", 5, 6, None)])]

    @pytest.mark.parametrize(
        ("first", "second", "is_right"),
        [
            (("1", "2"), ("2", "4"), True),
            (("1", "3"), ("2", "4"), False),
            (("3", "4"), ("1", "2"), False),
        ],
    )
    def test_comes_after_those_of_its_user_that_were_accepted_before(
        self, first: tuple[str, str], second: tuple[str, str], is_right: bool
    ) -> None:
        accepted, ends = [], {}
        for number, (began, ended) in enumerate((first, second)):
            name, sent = str(number), 10 * number
            op = Op("add", "ann", sent, status=202, job=name, accepted=sent + 1, ids=["m"])
            accepted.append(op)
            ends[name] = look("succeeded", started_at=began, ended_at=ended, **STORED)
        assert ([*jobs.out_of_turn(accepted, ends)] == []) is is_right


class TestKey:
    key = Key("k", "secret", "ann", revoking=10, revoked=12)

    @pytest.mark.parametrize(
        ("started", "ended", "status", "mistakes"),
        [
            (1, 2, 200, []),
            (9, 11, 401, []),
            (11, 20, 200, []),
            (13, 14, 401, []),
            (13, 14, 503, []),
            (13, 14, 200, ["accepted"]),
            (13, 14, 404, ["accepted"]),
            (1, 2, 401, ["refused"]),
        ],
    )
    def test_is_good_until_its_revocation_was_answered(
        self, started: int, ended: int, status: int, mistakes: list[str]
    ) -> None:
        uses = [Use(self.key, started, ended, status)]
        accepted, refused = (
            [*judge(uses)]
            for judge in (keys.accepted_after_revocation, keys.refused_before_revocation)
        )
        assert ["accepted"] * len(accepted) + ["refused"] * len(refused) == mistakes

    def test_that_was_revoked_before_makes_a_request_void(self) -> None:
        assert Op("text", "ann", 13, by=self.key).void
        assert Op("text", "ann", 11, by=self.key).unknown


def told(first: Op, status: int, answer: Any, *ops: Op) -> Iterator[str]:
    return Repeats().told_otherwise(ops, [Repeat(first, status, answer)])


class TestRepeat:
    first = add(status=201, answer=STORED, ended=2)

    @pytest.mark.parametrize(
        ("status", "answer", "others"),
        [(201, STORED, []), (503, None, []), (410, None, [deletion("purge", 3)])],
    )
    def test_that_is_told_the_same_is_right(
        self, status: int, answer: Any, others: list[Op]
    ) -> None:
        assert [*told(self.first, status, answer, *others)] == []

    @pytest.mark.parametrize(
        ("status", "answer", "others"),
        [
            (201, {"results": [{"id": "other", "memory": "note 1.0"}]}, []),
            (409, None, []),
            (401, None, []),
            (410, None, []),
            (410, None, [deletion("delete_all", 3, 4)]),
            (410, None, [deletion("purge", -1, 0)]),
        ],
    )
    def test_that_is_told_otherwise_is_found(
        self, status: int, answer: Any, others: list[Op]
    ) -> None:
        assert [*told(self.first, status, answer, *others)]

    def test_of_a_job_gives_the_same_job(self) -> None:
        assert [*told(job(), 202, {"job": "j"})] == []
        assert [*told(job(), 202, {"job": "other"})]
