"""Locks as rows: what the processes of a fleet hold or wait for, in the order of their requests.

A hold adds its rows after all others. It has its locks as soon as no earlier row of another process
conflicts with them. So holds get their locks in turn.

A row belongs to a process: when the process has ended, others may delete the row. But a row that an
intent was begun under stays until the intent is settled, even if the thread has ended. So nobody
writes to a memory while the outcome of a write to it is unknown.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from app.errors import MemoryNotFound, ServiceBusy
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history import tombstones
from app.storage.history.schema import LOCKS
from app.storage.vectors.paging import sliced

KEYS_AT_ONCE = 500  # far below any database's bound on variables
LOST = (
    "The locks of this request are gone: its process was taken for dead, or the history database "
    "crashed; ask again."
)
KEY, MEMORY, ANY, SCOPE = "key", "memory", "any", "scope"
"""What a row locks: a key; a memory of the row's scope; a memory of an unknown scope; a scope, in
which nobody else may write then."""

Row = dict[str, str | None]


class Under(NamedTuple):
    """The locks that an intent needs: of memories, by their ids, or of a scope, or none."""

    memories: Collection[str] = ()
    changed: Collection[str] = ()
    """The ones of `memories` that are not new."""
    scope: Scope | None = None


NO_LOCKS = Under()


class Hold(NamedTuple):
    """The rows that a thread adds at once, and releases at once."""

    id: str
    process: str
    rows: Sequence[Row]

    @property
    def is_of_memories(self) -> bool:
        """Whether all rows lock memories, which only intents write."""
        return all(row["kind"] in (MEMORY, ANY) for row in self.rows)


def of_memories(memories: Mapping[str, Scope | None]) -> list[Row]:
    """Rows that lock memories. `memories` has the scope of each by its id, None where it is
    unknown."""
    return [
        _row(ANY if scope is None else MEMORY, id_, scope or {}) for id_, scope in memories.items()
    ]


def of_scope(scope: Scope) -> list[Row]:
    return [_row(SCOPE, None, scope)]


def of_key(key: str) -> list[Row]:
    return [_row(KEY, key, {})]


def _row(kind: str, key: str | None, scope: Scope) -> Row:
    return {"kind": kind, "key": key, **dict.fromkeys(SCOPE_KEYS), **scope}


def add(connection: Connection, hold: Hold) -> None:
    """Add the rows of a hold. No other transaction may add rows at the same time."""
    of_this = {"hold": hold.id, "process": hold.process}
    connection.execute(insert(LOCKS), [{**row, **of_this} for row in hold.rows])


def in_the_way(connection: Connection, hold: Hold) -> str | None:
    """Returns the kind of an earlier row of another process that conflicts with the hold; None
    where there is none."""
    for some in sliced(hold.rows, KEYS_AT_ONCE):
        keys = [row["key"] for row in some]
        asked = {"hold": hold.id, "process": hold.process, "keys": keys}
        found = connection.execute(_IN_THE_WAY, asked).first()
        if found:
            kind: str = found.kind
            return kind
    return None


def narrow(connection: Connection, hold: Hold, scope: Scope) -> None:
    """Give the rows of a hold their scope, which was unknown when they were added."""
    connection.execute(update(LOCKS).where(LOCKS.c.hold == hold.id).values(kind=MEMORY, **scope))


def release(connection: Connection, hold: str) -> None:
    """Delete the rows of a hold, except those of an open intent."""
    connection.execute(delete(LOCKS).where(LOCKS.c.hold == hold, LOCKS.c.intent.is_(None)))


def release_all(connection: Connection, process: str) -> None:
    """Delete all rows of a dead process, except those of open intents."""
    connection.execute(delete(LOCKS).where(LOCKS.c.process == process, LOCKS.c.intent.is_(None)))


def begin(connection: Connection, process: str, intents: Mapping[int, Under]) -> None:
    """Bind the locks that each intent needs to it; `intents` has them by the intents' numbers.

    Raises ServiceBusy where a lock is not held any more, because the process was taken for dead.
    Raises MemoryNotFound where a memory is dead, see tombstones.py.
    """
    if tombstones.is_dead(connection, [id_ for one in intents.values() for id_ in one.changed]):
        raise MemoryNotFound
    _bind_memories(
        connection, process, {id_: n for n, one in intents.items() for id_ in one.memories}
    )
    for number, one in intents.items():
        if one.scope is not None:
            _bind_scope(connection, process, one.scope, number)


def _bind_memories(connection: Connection, process: str, intents: Mapping[str, int]) -> None:
    """Bind the rows of memories to intents; `intents` has the intent's number by the memory's id.
    One statement binds many rows, because a batch has many intents."""
    for some in sliced([*intents], KEYS_AT_ONCE):
        number = case({id_: intents[id_] for id_ in some}, value=LOCKS.c.key)
        bound = connection.scalars(_bind(process, number).where(LOCKS.c.key.in_(some)))
        if {*bound} != {*some}:
            raise ServiceBusy(LOST)


def _bind_scope(connection: Connection, process: str, scope: Scope, intent: int) -> None:
    mine = (LOCKS.c[key] == scope.get(key) for key in SCOPE_KEYS)
    if not connection.execute(_bind(process, intent).where(LOCKS.c.kind == SCOPE, *mine)).all():
        raise ServiceBusy(LOST)


def _bind(process: str, intent: Any) -> ReturningUpdate[tuple[str]]:
    free = update(LOCKS).where(LOCKS.c.process == process, LOCKS.c.intent.is_(None))
    return free.values(intent=intent).returning(LOCKS.c.key)


_MINE, _OTHER = LOCKS.alias("mine"), LOCKS.alias("other")


def _before(*which: ColumnElement[bool]) -> Select[tuple[str]]:
    """Selects the rows of other processes that are earlier than those of a hold."""
    first = select(func.min(LOCKS.c.seq)).where(LOCKS.c.hold == bindparam("hold"))
    others = (_OTHER.c.process != bindparam("process"), _OTHER.c.seq < first.scalar_subquery())
    return select(_OTHER.c.kind).where(*others, *which)


def _covers(scope: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether the row `scope` locks a scope, and `other` something that may be within it. An id
    that is null means no id in the row of a memory, and any id in other rows."""
    return and_(
        scope.c.kind == SCOPE,
        other.c.kind != KEY,
        *(
            or_(
                scope.c[key].is_(None),
                scope.c[key] == other.c[key],
                other.c[key].is_(None) & (other.c.kind != MEMORY),
            )
            for key in SCOPE_KEYS
        ),
    )


# Three selects, not one with three conditions, so that each can use an index.
_IN_THE_WAY = union_all(
    _before(_OTHER.c.key.in_(bindparam("keys", expanding=True))),
    _before(_MINE.c.hold == bindparam("hold"), _covers(_OTHER, _MINE)),
    _before(_MINE.c.hold == bindparam("hold"), _covers(_MINE, _OTHER)),
).limit(1)
