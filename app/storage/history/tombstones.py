"""Tombstones: ids of new memories whose add was rolled back or redone, and so may arrive late.

A memory that arrives in the store with such an id is deleted, unless the history says that it
exists: that it was added, and not deleted since. No writer may change it meanwhile.
"""

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, insert, select

from app.storage.history.database import Database
from app.storage.history.schema import HISTORY, LOCKS, TOMBSTONES
from app.storage.vectors.paging import sliced

KEPT_S = 3600.0
"""Seconds after which no call can arrive any more. A server may keep a call for longer, for a node
that was down, but delivers it in order."""


class Tombstones:
    def __init__(self, database: Database) -> None:
        self._database = database

    def dead(self) -> list[str]:
        """The ids that must not exist in the store, except those whose add is being recovered just
        now. Deletes tombstones that are old enough."""
        at_work = exists().where(LOCKS.c.key == TOMBSTONES.c.memory_id)
        before = time.time() - KEPT_S
        with self._database.reading() as connection:
            dead = connection.scalars(_ids().where(~at_work, _is_dead())).all()
            old = connection.scalars(_ids().where(TOMBSTONES.c.kept_at < before).limit(1)).first()
        if old:
            forgotten = delete(TOMBSTONES).where(TOMBSTONES.c.kept_at < before)
            self._database.write(lambda connection: connection.execute(forgotten))
        return [*dead]


def keep(connection: Connection, ids: Collection[str]) -> None:
    there = {*connection.scalars(_ids().where(TOMBSTONES.c.memory_id.in_([*ids])))}
    rows = [{"memory_id": id_, "kept_at": time.time()} for id_ in ids if id_ not in there]
    if rows:
        connection.execute(insert(TOMBSTONES), rows)


def is_dead(connection: Connection, ids: Collection[str]) -> bool:
    """Whether one of these memories, whose locks the caller holds, is only a late arrival."""
    return bool(dead_among(connection, ids))


def dead_among(connection: Connection, ids: Collection[str]) -> list[str]:
    """Those of `ids` that are only late arrivals."""
    if not ids or connection.scalar(_ids().limit(1)) is None:  # this is nearly always so
        return []
    dead = _ids().where(_is_dead())
    found = (dead.where(TOMBSTONES.c.memory_id.in_(some)) for some in sliced([*ids], 500))
    return [id_ for some in found for id_ in connection.scalars(some)]


def _ids() -> Select[Any]:
    return select(TOMBSTONES.c.memory_id)


def _is_dead() -> ColumnElement[bool]:
    """The condition that the memory does not exist according to the history: it was deleted, or has
    no event, because its add was rolled back."""
    events = select(HISTORY.c.event).where(HISTORY.c.memory_id == TOMBSTONES.c.memory_id)
    last = events.order_by(HISTORY.c.seq.desc()).limit(1).scalar_subquery()
    return func.coalesce(last, "DELETE") == "DELETE"
