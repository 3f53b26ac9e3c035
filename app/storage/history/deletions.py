"""Deletions by scope as rows, so that who reads in another process knows which it may have met.

A row is committed before the first call that deletes in the store, with its intent or with the last
part of it, and ends after the last call, with the last of what the deletion did in the database.
Where processes of an earlier version finish a deletion nobody ends its row: it ends when it is
swept.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Interval,
    bindparam,
    delete,
    exists,
    extract,
    func,
    insert,
    or_,
    select,
    update,
)

from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.schema import DELETIONS, INTENTS

KEPT_S = 3600.0
"""After its end; who has read for so long without asking is not told of all."""

_SCOPE = [DELETIONS.c[key] for key in SCOPE_KEYS]


class Found(NamedTuple):
    number: int
    scope: Scope
    ended_s: float | None
    """How many seconds ago it ended, by the database's clock; None while it is at work."""


class Deletions:
    """Those of all processes that share a database, which is PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def meeting(self, scope: Scope, within_s: float) -> list[Found]:
        """Those at work, or ended in the last `within_s` seconds, that a memory of `scope` may be
        of. Raises HistoryUnavailable within seconds."""
        asked = {**dict.fromkeys(SCOPE_KEYS), **scope, "within": timedelta(seconds=within_s)}
        with self._database.glance() as connection:
            return [_found(*row) for row in connection.execute(_MEETING, asked)]

    def sweep(self) -> None:
        """Drop those that ended long ago; end those that nobody is at any more."""
        left = DELETIONS.c.ended_at.is_(None) & ~exists().where(INTENTS.c.id == DELETIONS.c.intent)
        old = DELETIONS.c.ended_at < _now() - timedelta(seconds=KEPT_S)
        with self._database.reading() as connection:
            some = connection.scalar(select(DELETIONS.c.seq).where(left | old).limit(1))
        if some is None:
            return

        def write(connection: Connection) -> None:
            connection.execute(delete(DELETIONS).where(old))
            connection.execute(update(DELETIONS).where(left).values(ended_at=_clock(connection)))

        self._database.write(write)


def begin(connection: Connection, intent: str, scope: Scope | None) -> None:
    """Of an intent, by its id. None: nobody else reads that store."""
    if scope is not None:
        connection.execute(insert(DELETIONS), {"intent": intent, **scope})


def end(connection: Connection, intent: str) -> None:
    """Nothing of it is left in the store, or all. The last statement of a transaction, so that its
    time is that of the commit, or nearly."""
    mine = (DELETIONS.c.intent == intent) & DELETIONS.c.ended_at.is_(None)
    connection.execute(update(DELETIONS).where(mine).values(ended_at=_clock(connection)))


def _now() -> ColumnElement[datetime]:
    """By the database's clock, at the beginning of a transaction."""
    return func.now(type_=DateTime(timezone=True))


def _clock(connection: Connection) -> ColumnElement[datetime]:
    """The time at which it is asked. SQLite, where nobody asks for it, has no other than that."""
    at_once = connection.dialect.name == "postgresql"
    return func.clock_timestamp(type_=DateTime(timezone=True)) if at_once else _now()


def _may_be(column: Column[Any]) -> ColumnElement[bool]:
    """What it was deleted by, where the scope that is asked for has that value or none."""
    asked: BindParameter[Any] = bindparam(column.name, type_=column.type)
    return or_(column.is_(None), asked.is_(None), column == asked)


def _found(number: int, ended_s: float | None, *ids: str | None) -> Found:
    scope = {key: id_ for key, id_ in zip(SCOPE_KEYS, ids, strict=True) if id_ is not None}
    return Found(number, scope, None if ended_s is None else float(ended_s))


# Made once: it is asked with each listing.
_MEETING = select(DELETIONS.c.seq, extract("epoch", _now() - DELETIONS.c.ended_at), *_SCOPE).where(
    *map(_may_be, _SCOPE),
    or_(
        DELETIONS.c.ended_at.is_(None),
        DELETIONS.c.ended_at > _now() - bindparam("within", type_=Interval),
    ),
)
