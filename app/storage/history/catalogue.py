"""The catalogue: a row for each memory of a fleet, in which users and totals are counted.

A Qdrant server only estimates facets once there are many memories, and reads all memories that it
counts. The rows of the catalogue are written in the same transactions as the history, so they agree
with it after any crash. Rows for older memories are filled in from the store, see filling.py. Only
a fleet has a catalogue.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    true,
)

from app.security.scopes import MAX_ID, SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.schema import CATALOGUE, FILLING, PROCESSES, within
from app.storage.history.statements import add_or_replace, add_those_absent
from app.storage.payloads import Payload, instant, scope_of
from app.storage.vectors.paging import sliced

AT_ONCE = 500  # far below any database's bound on variables
DROPPED_AT_ONCE = 50_000  # far less than any database does in the time that a statement may take

Entry = Mapping[str, Any]
"""A row without its id."""

WRITES_BESIDE = exists().where(PROCESSES.c.schema_version.is_(None))
"""The condition that a process of a version without a catalogue is running."""

IS_COMPLETE = exists().where(FILLING.c.complete) & ~WRITES_BESIDE


class Catalogue:
    """The catalogue in a database. Until it is complete, totals and values are None."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def total(self, scope: Scope, *, show_expired: bool) -> int | None:
        """How many memories the scope has."""
        these = select(func.count()).select_from(CATALOGUE).where(_shown(scope, show_expired))
        query = select(case((IS_COMPLETE, these.scalar_subquery())))
        # A count reads every row of the scope: that is no short read, as `glance` is for.
        with self._database.reading() as connection:
            total: int | None = connection.scalar(query)
        return total

    def values(
        self, key: str, scope: Scope, limit: int, *, show_expired: bool
    ) -> list[tuple[str, int]] | None:
        """The values of `key` in the scope, each with its number of memories: the most frequent
        first, then by value."""
        column, number = CATALOGUE.c[key], func.count()
        these = select(column, number).where(_shown(scope, show_expired), column.is_not(None))
        these = these.group_by(column).order_by(number.desc(), column).limit(limit)
        with self._database.reading() as connection:
            if not connection.scalar(select(IS_COMPLETE)):
                return None
            return [(value, count) for value, count in connection.execute(these)]

    def between(self, first: str | None, end: str | None, most: int) -> dict[str, Entry]:
        """At most `most` rows, by their ids and in this order, from `first` to before `end`."""
        these = select(CATALOGUE).where(
            CATALOGUE.c.memory_id >= first if first else true(),
            CATALOGUE.c.memory_id < end if end else true(),
        )
        these = these.order_by(CATALOGUE.c.memory_id).limit(most)
        with self._database.reading() as connection:
            found = [dict(row) for row in connection.execute(these).mappings()]
        return {row.pop("memory_id"): row for row in found}


def entry(payload: Payload) -> Entry:
    """The catalogue's row for a memory. Ids of more than MAX_ID characters, which mem0 itself
    allows, are left out: no request can ask for them, and an index may not take them."""
    scope = scope_of(payload)
    ids = {key: scope.get(key) for key in SCOPE_KEYS}
    asked = {key: id_ if _can_be_asked_for(id_) else None for key, id_ in ids.items()}
    return {"expires_on": _last_day(payload.get("expiration_date")), **asked}


def follow(
    connection: Connection, memories: Mapping[str, Payload | None], *, given_ids: bool = False
) -> None:
    """Update the rows of `memories` to their current payloads; None for a deleted memory. With
    `given_ids` they are new, unless another write has added them since."""
    rows = [
        {"memory_id": id_, **entry(payload)}
        for id_, payload in memories.items()
        if payload is not None
    ]
    if rows and given_ids:
        add_those_absent(connection, CATALOGUE, rows)
    elif rows:
        add_or_replace(connection, CATALOGUE, rows)
    drop(connection, [id_ for id_, payload in memories.items() if payload is None])


def drop(connection: Connection, ids: Collection[str]) -> None:
    for some in sliced([*ids], AT_ONCE):
        connection.execute(delete(CATALOGUE).where(CATALOGUE.c.memory_id.in_(some)))


def drop_some(connection: Connection, most: int = DROPPED_AT_ONCE) -> bool:
    """Delete up to `most` rows of any scope. Returns whether there may be more."""
    these = select(CATALOGUE.c.memory_id).limit(most)
    dropped = connection.execute(delete(CATALOGUE).where(CATALOGUE.c.memory_id.in_(these)))
    return dropped.rowcount == most


def _shown(scope: Scope, show_expired: bool) -> ColumnElement[bool]:
    if show_expired:
        return within(CATALOGUE, scope)
    last = CATALOGUE.c.expires_on
    lasts = or_(last.is_(None), last >= datetime.now(UTC).date())
    return and_(within(CATALOGUE, scope), lasts)


def _can_be_asked_for(id_: Any) -> bool:
    return isinstance(id_, str) and len(id_) <= MAX_ID


def _last_day(expiration_date: Any) -> date | None:
    """The last day on which a memory is shown, as the store compares it; None where the value is no
    time, so that it never expires."""
    try:
        return instant(expiration_date).date()
    except (TypeError, ValueError, OverflowError):
        return None
