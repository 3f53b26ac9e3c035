"""What callers were told of jobs: each that was accepted ends once, and as it was told."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

from tests.model.looking import Memories
from tests.model.ops import Op

SUCCEEDED, CANCELLED = "succeeded", "cancelled"
OPEN = ("pending", "running")


class Look(NamedTuple):
    """One answer about a job. Numbers are of the clients' clock."""

    job: str
    started: float
    ended: float
    answer: Mapping[str, Any] | None
    """None where it is not known."""

    @property
    def state(self) -> str:
        return str(self.answer["status"]) if self.answer else "unknown"


def jobs_of(ops: Iterable[Op]) -> list[Op]:
    return [op for op in ops if op.job]


def settle(accepted: Iterable[Op], final: Mapping[str, Look]) -> None:
    """Take over what became of the adds."""
    for op in accepted:
        look = final[op.job]
        if look.state == CANCELLED:
            op.cancelled = True
        elif look.answer and "results" in look.answer:  # else it was erased since
            op.stored(look.answer, look.ended)


def lost(accepted: Iterable[Op], final: Mapping[str, Look], ops: Sequence[Op]) -> Iterator[str]:
    """That did not end, or did not do what was accepted though nobody has cancelled it."""
    for op in accepted:
        look = final[op.job]
        if look.state == CANCELLED and not op.may_be_cancelled:
            deletions = [other for other in ops if other.deletes and (other.done or other.unknown)]
            mine = [other for other in deletions if other.is_about("", op.user)]
            if not any(other.ended > op.started for other in mine):
                yield f"{op} was cancelled by nobody"
        elif look.state not in (SUCCEEDED, CANCELLED):
            yield f"{op} is {look.state} at the end: {look.answer}"
        elif look.state == SUCCEEDED and not (op.ids or (look.answer or {}).get("erased")):
            yield f"{op} has stored nothing: {look.answer}"


def doubled(accepted: Iterable[Op], after: Memories) -> Iterator[str]:
    """That left something though they were cancelled or erased."""
    stored = {memory["metadata"].get("add") for memory in after.values()}
    for op in accepted:
        if op.started in stored and not op.ids:
            yield f"{op} left something, and did not say so"


def changed_after_the_end(looks: Iterable[Look]) -> Iterator[str]:
    """An end that somebody was told is what all are told from then on."""
    by_job: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        by_job[look.job].append(look)
    for mine in by_job.values():
        ends = [look for look in mine if look.state not in OPEN]
        for look in mine:
            before = [end for end in ends if end.ended < look.started and end.state != look.state]
            if before:
                yield f"{look} came after {before[0]}"


def out_of_turn(accepted: Sequence[Op], final: Mapping[str, Look]) -> Iterator[str]:
    """Those of one user are carried out one after the other, as they were accepted."""
    done = [(op, final[op.job].answer or {}) for op in accepted if op.ids]
    for (op, mine), (other, others) in permutations(done, 2):
        if op.user != other.user or mine["started_at"] > others["started_at"]:
            continue
        if others["started_at"] < mine["ended_at"]:
            yield f"{others} beside {mine}"
        elif other.accepted < op.started and mine["started_at"] < others["started_at"]:
            yield f"{others} after {mine}, which was accepted later"
