"""Deletions by scope as rows, so that readers in other processes know which may concern them.

A row is committed with the intent or with its last part, before the first call that deletes in the
store. It ends with the deletion's last write to the database, after the last call to the store. A
process of an earlier version does not end the rows of deletions that it finishes; `sweep` does.
"""

from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Float,
    Select,
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
"""Seconds for which a row is kept after its end. A reader that pauses for longer may miss one."""

_SCOPE = [DELETIONS.c[key] for key in SCOPE_KEYS]


class Found(NamedTuple):
    number: int
    scope: Scope
    ended_s: float | None
    """How many seconds ago it ended, by the database's clock; None while it runs."""


class Deletions:
    """The deletions of all processes that share a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def meeting(self, scope: Scope, within_s: float) -> list[Found]:
        """The deletions that may concern memories of `scope`, and run now or ended in the last
        `within_s` seconds. Raises HistoryUnavailable within a few seconds."""
        asked = {**dict.fromkeys(SCOPE_KEYS), **scope, "within": within_s}
        with self._database.glance() as connection:
            meeting = _meeting(connection.dialect.name)
            return [_found(*row) for row in connection.execute(meeting, asked)]

    def sweep(self) -> None:
        """Delete the rows of deletions that ended long ago, and end those without an intent."""
        left = DELETIONS.c.ended_at.is_(None) & ~exists().where(INTENTS.c.id == DELETIONS.c.intent)

        with self._database.reading() as connection:
            old = DELETIONS.c.ended_at < _now(connection.dialect.name) - KEPT_S
            some = connection.scalar(select(DELETIONS.c.seq).where(left | old).limit(1))
        if some is None:
            return

        def write(connection: Connection) -> None:
            connection.execute(delete(DELETIONS).where(old))
            connection.execute(update(DELETIONS).where(left).values(ended_at=_clock(connection)))

        self._database.write(write)


def begin(connection: Connection, intent: str, scope: Scope | None) -> None:
    """Add the deletion of an intent, by its id. A scope of None means that no other process reads
    the store."""
    if scope is not None:
        connection.execute(insert(DELETIONS), {"intent": intent, **scope})


def end(connection: Connection, intent: str) -> None:
    """End the deletion of an intent, when all of it or none of it was done in the store. To be the
    last statement of a transaction, so that its time is nearly that of the commit."""
    mine = (DELETIONS.c.intent == intent) & DELETIONS.c.ended_at.is_(None)
    connection.execute(update(DELETIONS).where(mine).values(ended_at=_clock(connection)))


def _now(dialect: str) -> ColumnElement[float]:
    """The time of the database's clock when the transaction began, in seconds since 1970."""
    if dialect == "postgresql":
        return extract("epoch", func.now()).cast(Float)
    # 1970 began at this Julian date.
    return (func.julianday("now", type_=Float) - 2440587.5) * 86400.0


def _clock(connection: Connection) -> ColumnElement[float]:
    """The same when the statement is carried out, where a transaction may be long."""
    if connection.dialect.name == "postgresql":
        return extract("epoch", func.clock_timestamp()).cast(Float)
    return _now(connection.dialect.name)


def _may_be(column: Column[Any]) -> ColumnElement[bool]:
    """The condition that a deletion and the given scope do not differ in `column`."""
    asked: BindParameter[Any] = bindparam(column.name, type_=column.type)
    return or_(column.is_(None), asked.is_(None), column == asked)


def _found(number: int, ended_s: float | None, *ids: str | None) -> Found:
    scope = {key: id_ for key, id_ in zip(SCOPE_KEYS, ids, strict=True) if id_ is not None}
    return Found(number, scope, None if ended_s is None else float(ended_s))


@cache  # each listing needs it
def _meeting(dialect: str) -> Select[Any]:
    now = _now(dialect)
    ended_s = (now - DELETIONS.c.ended_at).label("ended_s")
    running = DELETIONS.c.ended_at.is_(None)
    just_ended = DELETIONS.c.ended_at > now - bindparam("within", type_=Float)
    return select(DELETIONS.c.seq, ended_s, *_SCOPE).where(
        *map(_may_be, _SCOPE), or_(running, just_ended)
    )
