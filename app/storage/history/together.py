"""Intents that are kept, and what takes their place: of one, or of several in one transaction."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.history import answers, catalogue, held, messages, rows
from app.storage.history.held import NO_LOCKS, Under
from app.storage.history.messages import Said
from app.storage.history.rows import Rows
from app.storage.history.schema import INTENTS
from app.storage.payloads import Payload

_ADD = insert(INTENTS).returning(INTENTS.c.seq, sort_by_parameter_order=True)

NOTHING: Mapping[str, Payload | None] = MappingProxyType({})


class NewIntent(NamedTuple):
    """One to be kept, perhaps of the request with the idempotency key `repeat`."""

    id: str
    version: int
    body: str
    repeat: tuple[str, str] | None = None
    under: Under = NO_LOCKS


class Finished(NamedTuple):
    """An open intent, by its number, and what takes its place."""

    number: int
    rows: Rows
    answer: str | None = None
    said: Said = ()
    leaves: Mapping[str, Payload | None] = NOTHING
    """Each memory as it is then; None is one that is gone."""
    given_ids: bool = False
    """Its memories brought their ids along: another write may have added some of them since, and
    of those it leaves no rows."""


def begin(
    connection: Connection, process: str, new: Sequence[NewIntent], *, collecting: bool = False
) -> list[int]:
    """Keep intents. Returns their numbers, in the order of `new`. Raises what `held.begin` does,
    and answers.Withdrawn."""
    begun = {"process": process, "done": False, "collecting": collecting}
    added = [{"id": one.id, "version": one.version, "body": one.body, **begun} for one in new]
    numbers = [*connection.scalars(_ADD, added)]
    held.begin(connection, process, {n: one.under for n, one in zip(numbers, new, strict=True)})
    for number, one in zip(numbers, new, strict=True):
        if one.repeat:
            answers.belongs_to(connection, process, one.repeat, number)
    return numbers


def finish(
    connection: Connection, finished: Sequence[Finished], *, keep: bool, catalogued: bool
) -> None:
    """See Intents.finish."""
    these = INTENTS.c.seq.in_([one.number for one in finished]) & ~INTENTS.c.done
    # With a lock on each: who finishes the same meanwhile waits. In one order: never in a circle.
    found = select(INTENTS.c.seq).where(these).order_by(INTENTS.c.seq).with_for_update()
    still = {*connection.scalars(found)}
    record(connection, [one for one in finished if one.number in still], catalogued=catalogued)
    closed = update(INTENTS).values(done=True) if keep else delete(INTENTS)
    connection.execute(closed.where(these))


def record(connection: Connection, finished: Sequence[Finished], *, catalogued: bool) -> None:
    """Write what takes the place of intents."""
    rows.add(connection, [row for one in finished for row in _written(connection, one)])
    for given_ids in (False, True) if catalogued else ():
        these = [one.leaves for one in finished if one.given_ids == given_ids]
        left = {id_: payload for leaves in these for id_, payload in leaves.items()}
        catalogue.follow(connection, left, given_ids=given_ids)
    for one in finished:
        messages.save(connection, one.said)
        if one.answer is not None:
            answers.keep(connection, one.number, one.answer)


def _written(connection: Connection, one: Finished) -> Rows:
    return rows.lacking(connection, one.rows) if one.given_ids else one.rows
