"""Begins and finishes intents, several in one transaction."""

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
    """An intent to be stored."""

    id: str
    version: int
    body: str
    repeat: tuple[str, str] | None = None
    """Of a request with an idempotency key: what identifies it in `answers`."""
    under: Under = NO_LOCKS


class Finished(NamedTuple):
    """An open intent, by its number, and what replaces it."""

    number: int
    rows: Rows
    answer: str | None = None
    said: Said = ()
    leaves: Mapping[str, Payload | None] = NOTHING
    """The payload of each memory after the write, by its id; None for a deleted memory."""
    given_ids: bool = False
    """Whether the caller chose the ids of the memories. Then another write may have added some of
    them since, and for those no rows are written."""


def begin(
    connection: Connection, process: str, new: Sequence[NewIntent], *, collecting: bool = False
) -> list[int]:
    """Store intents. Returns their numbers, in the order of `new`. Raises what `held.begin` does,
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
    # Locks the rows, so that a second process that finishes the same intents waits; in one order,
    # so that there is no deadlock.
    found = select(INTENTS.c.seq).where(these).order_by(INTENTS.c.seq).with_for_update()
    still = {*connection.scalars(found)}
    record(connection, [one for one in finished if one.number in still], catalogued=catalogued)
    closed = update(INTENTS).values(done=True) if keep else delete(INTENTS)
    connection.execute(closed.where(these))


def record(connection: Connection, finished: Sequence[Finished], *, catalogued: bool) -> None:
    """Write what replaces the intents."""
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
