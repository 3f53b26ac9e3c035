"""The history: a row for each event of a memory.

A row has mem0's columns, the id of the key that was used, and the ids of the memory's scope, which
after a deletion are stored nowhere else.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, or_, select, update

from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.schema import HISTORY, within
from app.storage.payloads import new_id, written_down
from app.storage.vectors.paging import sliced

ERASED_AT_ONCE = 1000  # rows in one transaction, so that others can write in between
DROPPED_AT_ONCE = 50_000  # any database deletes far more in the time limit of a statement

Rows = Sequence[Mapping[str, Any]]
"""Rows by the names of their columns, without `id`, which is made when they are added."""

# The columns that callers see: mem0's, and the key.
_SHOWN = [column for column in HISTORY.c if column.name not in ("seq", *SCOPE_KEYS)]
_GIVEN = [column.name for column in HISTORY.c if column.name not in ("seq", "id", "is_deleted")]

HAS_TEXT = or_(HISTORY.c.old_memory.is_not(None), HISTORY.c.new_memory.is_not(None))

# These statements are made once, because requests often need them.
_READ = select(*_SHOWN).where(HISTORY.c.memory_id == bindparam("asked")).order_by(HISTORY.c.seq)
_ADD = insert(HISTORY)


class History:
    """Reads the history in a database. Rows are written when their intent is finished."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get_history(self, memory_id: str, scope: Scope | None = None) -> list[dict[str, Any]]:
        """The rows of one memory, oldest first; none where it is not in `scope`."""
        rows = _READ.where(within(HISTORY, scope)) if scope else _READ
        with self.database.reading() as connection:
            found = connection.execute(rows, {"asked": memory_id})
            return [dict(row) for row in found.mappings()]

    def of_many(
        self, memory_ids: Sequence[str], scope: Scope | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows of up to 500 memories by their ids, oldest first, with their scopes."""
        these = select(HISTORY).where(
            HISTORY.c.memory_id.in_(memory_ids), within(HISTORY, scope or {})
        )
        found: dict[str, list[dict[str, Any]]] = {}
        with self.database.reading() as connection:
            for row in connection.execute(these.order_by(HISTORY.c.seq)).mappings():
                found.setdefault(row["memory_id"], []).append(dict(row))
        return found

    def known(self, memory_ids: Sequence[str]) -> set[str]:
        """The ids that have rows, of up to 500."""
        these = select(HISTORY.c.memory_id).where(HISTORY.c.memory_id.in_(memory_ids)).distinct()
        with self.database.reading() as connection:
            return {*connection.scalars(these)}

    def deletions(self, scope: Scope, after: int, limit: int) -> list[tuple[int, str]]:
        """The next deletions in a scope: the numbers of their rows, and the ids of the memories."""
        these = select(HISTORY.c.seq, HISTORY.c.memory_id).where(
            within(HISTORY, scope), HISTORY.c.event == "DELETE", HISTORY.c.seq > after
        )
        with self.database.reading() as connection:
            found = connection.execute(these.order_by(HISTORY.c.seq).limit(limit))
            return [(seq, memory_id) for seq, memory_id in found]

    def written(
        self, key_id: str, scope: Scope, since: datetime | None, until: datetime | None
    ) -> list[str]:
        """The ids of the memories in a scope that a key added or changed from `since` to before
        `until`. Some may be deleted meanwhile."""
        wrote = [HISTORY.c.written_by == key_id, HISTORY.c.event != "DELETE"]
        wrote += [HISTORY.c.updated_at >= written_down(since)] if since else []
        wrote += [HISTORY.c.updated_at < written_down(until)] if until else []
        ids = select(HISTORY.c.memory_id).where(within(HISTORY, scope), *wrote).distinct()
        with self.database.reading() as connection:
            return [*connection.scalars(ids)]

    def living(self) -> int:
        """How many memories exist according to the history."""
        born = case((HISTORY.c.event == "ADD", 1), (HISTORY.c.event == "DELETE", -1), else_=0)
        with self.database.reading() as connection:
            return connection.scalar(select(func.coalesce(func.sum(born), 0))) or 0

    def close(self) -> None:
        self.database.close()


def add(connection: Connection, rows: Rows) -> None:
    if not rows:
        return
    complete = [
        {name: row.get(name) for name in _GIVEN}
        | {"id": new_id(), "is_deleted": bool(row.get("is_deleted"))}
        for row in rows
    ]
    connection.execute(_ADD, complete)


def last_events(connection: Connection, memory_ids: Collection[str]) -> dict[str, str]:
    """The last event of each memory that has any."""
    found: dict[str, str] = {}
    for some in sliced([*memory_ids], 500):
        last = select(func.max(HISTORY.c.seq)).where(HISTORY.c.memory_id.in_(some))
        these = HISTORY.c.seq.in_(last.group_by(HISTORY.c.memory_id))
        rows = connection.execute(select(HISTORY.c.memory_id, HISTORY.c.event).where(these))
        found |= {row.memory_id: row.event for row in rows}
    return found


def lacking(connection: Connection, rows: Rows) -> Rows:
    """`rows` without those of memories that exist already, or were deleted as the rows say."""
    ends = {row["memory_id"]: row["event"] for row in rows}
    last = last_events(connection, ends)
    known = {id_ for id_, event in last.items() if event != "DELETE" or ends[id_] == "DELETE"}
    return [row for row in rows if row["memory_id"] not in known]


def erase_texts(connection: Connection, scope: Scope, after: int) -> tuple[int | None, int]:
    """Erase the texts in the next rows of a scope, including those of deleted memories; the events
    stay. Returns the number of the last row, None where there are no more; and how many rows had
    texts."""
    these = select(HISTORY.c.seq).where(within(HISTORY, scope), HISTORY.c.seq > after)
    found = connection.scalars(these.order_by(HISTORY.c.seq).limit(ERASED_AT_ONCE)).all()
    erased = update(HISTORY).values(old_memory=None, new_memory=None)
    done = connection.execute(erased.where(HISTORY.c.seq.in_(found), HAS_TEXT))
    return (found[-1] if len(found) == ERASED_AT_ONCE else None), done.rowcount


def drop_some(connection: Connection, most: int = DROPPED_AT_ONCE) -> bool:
    """Delete up to `most` rows of any scope. Returns whether there may be more."""
    these = select(HISTORY.c.seq).order_by(HISTORY.c.seq).limit(most)
    dropped = connection.execute(delete(HISTORY).where(HISTORY.c.seq.in_(these)))
    return dropped.rowcount == most
