"""The calls of clients as the steps of single memories, for the search for a legal order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.model.judge import Life
from tests.model.linear import ABSENT, Order, State, Step, find_order
from tests.model.looking import Memories, Row, values
from tests.model.ops import Op

EARLIER = -1  # when memories were born that were there before the first of these calls


def illegal_orders(
    lives: Mapping[str, Life], ops: Sequence[Op], after: Memories, now: int
) -> dict[str, Order]:
    """The memories whose calls have no legal order; what is there `now` is `after`."""
    found = {}
    listings = [(op, {m["id"]: state_of(m) for m in op.answer["results"]}) for op in listed(ops)]
    for memory_id, life in lives.items():
        steps = list(steps_of(memory_id, life))
        for op, shown in listings:
            if op.user == life.born.user:
                sees = shown.get(memory_id, ABSENT)
                steps.append(Step("read", op.started, op.ended, sees=sees, note="listing"))
        final = after.get(memory_id)
        sees = state_of(final) if final else ABSENT
        steps.append(Step("read", now, now + 0.5, sees=sees, note="at the end"))
        initial = as_state(life.born.values) if life.born.started == EARLIER else ABSENT
        order = find_order(steps, initial)
        if not order.legal:
            found[memory_id] = order
    return found


def steps_of(memory_id: str, life: Life) -> Iterator[Step]:
    born = life.born
    if born.started != EARLIER:
        yield Step("add", born.started, born.ended, sets=as_state(born.values))
    for op in life.asked:
        if op.void and not op.done:
            continue
        if op.kind == "history" or (op.kind == "get" and not (op.done or op.status == 404)):
            continue
        if op.status == 404:
            yield Step("read", op.started, op.ended, note=f"{op.kind}: 404")
        elif op.kind == "get":
            yield Step("read", op.started, op.ended, sees=state_of(op.answer))
        elif op.sets_fields:
            sees = state_of(op.answer["result"]) if op.done else ABSENT
            yield Step("update", op.started, op.ended, as_state(op.values), sees)
        else:
            yield Step(
                "delete" if op.kind == "delete" else "clear", op.started, op.ended, note=op.kind
            )


def listed(ops: Sequence[Op]) -> list[Op]:
    return [op for op in ops if op.kind == "get_all" and op.done]


def state_of(memory: Row) -> State:
    return as_state(values(memory))


def as_state(fields: Mapping[str, Any]) -> State:
    return frozenset(fields.items())
