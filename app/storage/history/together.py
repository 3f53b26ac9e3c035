"""Several intents of new memories: kept in one transaction, and finished in one."""

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

NOTHING: Mapping[str, Payload | None] = MappingProxyType({})


class NewIntent(NamedTuple):
    """One to be kept, perhaps of the request with the idempotency key `repeat`."""

    id: str
    version: int
    body: str
    repeat: tuple[str, str] | None
    under: Under = NO_LOCKS


class Finished(NamedTuple):
    """An open intent, by its number, and what takes its place."""

    number: int
    rows: Rows
    answer: str | None
    said: Said
    leaves: Mapping[str, Payload | None] = NOTHING


def begin(connection: Connection, process: str, new: Sequence[NewIntent]) -> list[int]:
    """The numbers of the intents, in the order of `new`."""
    begun = {"process": process, "done": False, "collecting": False}
    added = [{"id": one.id, "version": one.version, "body": one.body, **begun} for one in new]
    connection.execute(insert(INTENTS), added)
    these = INTENTS.c.id.in_([one.id for one in new])
    found = connection.execute(select(INTENTS.c.id, INTENTS.c.seq).where(these))
    numbers = {row.id: row.seq for row in found}
    held.begin(connection, process, {numbers[one.id]: one.under for one in new})
    for one in new:
        if one.repeat:
            answers.belongs_to(connection, process, one.repeat, numbers[one.id])
    return [numbers[one.id] for one in new]


def finish(
    connection: Connection, finished: Sequence[Finished], *, keep: bool, catalogued: bool
) -> None:
    """See Intents.finish."""
    these = INTENTS.c.seq.in_([one.number for one in finished]) & ~INTENTS.c.done
    # With a lock on each: who finishes the same meanwhile waits. In one order: never in a circle.
    found = select(INTENTS.c.seq).where(these).order_by(INTENTS.c.seq).with_for_update()
    still = {*connection.scalars(found)}
    now = [one for one in finished if one.number in still]
    rows.add(connection, [row for one in now for row in one.rows])
    if catalogued:
        left = {id_: payload for one in now for id_, payload in one.leaves.items()}
        catalogue.follow(connection, left)
    for one in now:
        messages.save(connection, one.said)
        if one.answer is not None:
            answers.keep(connection, one.number, one.answer)
    closed = update(INTENTS).values(done=True) if keep else delete(INTENTS)
    connection.execute(closed.where(these))
