"""What happened to each memory.

A row has mem0's columns, the key that was used, and the ids of the memory's scope: once a memory
is deleted, nothing else knows whose it was.
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

ERASED_AT_ONCE = 1000  # rows of one transaction: others write in between
DROPPED_AT_ONCE = 50_000  # far less than any database does in the time that a statement may take

Rows = Sequence[Mapping[str, Any]]
"""Keys are the column names; `id` is made here."""

# What callers see of a row: mem0's columns and the key. The scope and the sequence stay inside.
_SHOWN = [column for column in HISTORY.c if column.name not in ("seq", *SCOPE_KEYS)]
_GIVEN = [column.name for column in HISTORY.c if column.name not in ("seq", "id", "is_deleted")]

HAS_TEXT = or_(HISTORY.c.old_memory.is_not(None), HISTORY.c.new_memory.is_not(None))

# Statements of every request are made once.
_READ = select(*_SHOWN).where(HISTORY.c.memory_id == bindparam("asked")).order_by(HISTORY.c.seq)
_ADD = insert(HISTORY)


class History:
    """The rows of a database. They are written with the intent that they belong to."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get_history(self, memory_id: str, scope: Scope | None = None) -> list[dict[str, Any]]:
        """The rows of one memory, oldest first; none where it is not of that scope."""
        rows = _READ.where(within(HISTORY, scope)) if scope else _READ
        with self.database.reading() as connection:
            found = connection.execute(rows, {"asked": memory_id})
            return [dict(row) for row in found.mappings()]

    def of_many(
        self, memory_ids: Sequence[str], scope: Scope | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows of memories by their ids, oldest first, with their scope; of up to 500."""
        these = select(HISTORY).where(
            HISTORY.c.memory_id.in_(memory_ids), within(HISTORY, scope or {})
        )
        found: dict[str, list[dict[str, Any]]] = {}
        with self.database.reading() as connection:
            for row in connection.execute(these.order_by(HISTORY.c.seq)).mappings():
                found.setdefault(row["memory_id"], []).append(dict(row))
        return found

    def known(self, memory_ids: Sequence[str]) -> set[str]:
        """Those of up to 500 memories that have rows."""
        these = select(HISTORY.c.memory_id).where(HISTORY.c.memory_id.in_(memory_ids)).distinct()
        with self.database.reading() as connection:
            return {*connection.scalars(these)}

    def deletions(self, scope: Scope, after: int, limit: int) -> list[tuple[int, str]]:
        """The numbers of the next rows of a scope that say of a deletion, and of which memory."""
        these = select(HISTORY.c.seq, HISTORY.c.memory_id).where(
            within(HISTORY, scope), HISTORY.c.event == "DELETE", HISTORY.c.seq > after
        )
        with self.database.reading() as connection:
            found = connection.execute(these.order_by(HISTORY.c.seq).limit(limit))
            return [(seq, memory_id) for seq, memory_id in found]

    def written(
        self, key_id: str, scope: Scope, since: datetime | None, until: datetime | None
    ) -> list[str]:
        """The ids of the memories of a scope that a key added or changed from `since` until before
        `until`; some of them may be deleted by now."""
        wrote = [HISTORY.c.written_by == key_id, HISTORY.c.event != "DELETE"]
        wrote += [HISTORY.c.updated_at >= written_down(since)] if since else []
        wrote += [HISTORY.c.updated_at < written_down(until)] if until else []
        ids = select(HISTORY.c.memory_id).where(within(HISTORY, scope), *wrote).distinct()
        with self.database.reading() as connection:
            return [*connection.scalars(ids)]

    def living(self) -> int:
        """How many memories it knows that were not deleted."""
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
    """Without the rows of memories that are there already, or are gone as these say."""
    ends = {row["memory_id"]: row["event"] for row in rows}
    last = last_events(connection, ends)
    known = {id_ for id_, event in last.items() if event != "DELETE" or ends[id_] == "DELETE"}
    return [row for row in rows if row["memory_id"] not in known]


def erase_texts(connection: Connection, scope: Scope, after: int) -> tuple[int | None, int]:
    """Erase the texts of the next rows of a scope, those of deleted memories too; the events
    stay. The number of the last of them where there may be more, else None; and how many had
    texts."""
    these = select(HISTORY.c.seq).where(within(HISTORY, scope), HISTORY.c.seq > after)
    found = connection.scalars(these.order_by(HISTORY.c.seq).limit(ERASED_AT_ONCE)).all()
    erased = update(HISTORY).values(old_memory=None, new_memory=None)
    done = connection.execute(erased.where(HISTORY.c.seq.in_(found), HAS_TEXT))
    return (found[-1] if len(found) == ERASED_AT_ONCE else None), done.rowcount


def drop_some(connection: Connection, most: int = DROPPED_AT_ONCE) -> bool:
    """Drop up to so many rows of anybody's; whether there may be more."""
    these = select(HISTORY.c.seq).order_by(HISTORY.c.seq).limit(most)
    dropped = connection.execute(delete(HISTORY).where(HISTORY.c.seq.in_(these)))
    return dropped.rowcount == most
