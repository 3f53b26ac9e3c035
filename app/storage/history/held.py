"""Locks as rows: what the processes of a fleet hold or wait for, in the order of their coming.

A hold adds its rows behind all that are there, and has what it wants as soon as no row of another
process that came before is in its way. So each has its turn.

A row belongs to its process and goes with it: when that is over, others may take it away. One that
an intent was begun under stays until the intent is settled, whatever has become of its thread: so
nobody writes to a memory of which it is not known what a write has done to it.
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
"""What a row is: of a key alone; of a memory of its scope; of a memory of anybody's; of a scope,
for which nobody else may write there."""

Row = dict[str, str | None]


class Under(NamedTuple):
    """The locks of an intent: of memories, by their ids, or of a scope. Without both it needs
    none."""

    memories: Collection[str] = ()
    changed: Collection[str] = ()
    """Of these memories those that are not new."""
    scope: Scope | None = None


NO_LOCKS = Under()


class Hold(NamedTuple):
    """The rows that a thread adds at once, and releases at once."""

    id: str
    process: str
    rows: Sequence[Row]

    @property
    def is_of_memories(self) -> bool:
        """Whether all its rows are of memories, which are written by intents only."""
        return all(row["kind"] in (MEMORY, ANY) for row in self.rows)


def of_memories(memories: Mapping[str, Scope | None]) -> list[Row]:
    """Rows of memories. `memories` has their scopes by their ids, or None where that is not
    known."""
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
    """Returns the kind of a row that the hold has to wait for, which another process added before;
    None where there is none."""
    for some in sliced(hold.rows, KEYS_AT_ONCE):
        keys = [row["key"] for row in some]
        asked = {"hold": hold.id, "process": hold.process, "keys": keys}
        found = connection.execute(_IN_THE_WAY, asked).first()
        if found:
            kind: str = found.kind
            return kind
    return None


def narrow(connection: Connection, hold: Hold, scope: Scope) -> None:
    """Give the rows of a hold their scope, where that was not known when they were added."""
    connection.execute(update(LOCKS).where(LOCKS.c.hold == hold.id).values(kind=MEMORY, **scope))


def release(connection: Connection, hold: str) -> None:
    """Unless an intent goes on under it."""
    connection.execute(delete(LOCKS).where(LOCKS.c.hold == hold, LOCKS.c.intent.is_(None)))


def release_all(connection: Connection, process: str) -> None:
    """The same for all of a process that is gone."""
    connection.execute(delete(LOCKS).where(LOCKS.c.process == process, LOCKS.c.intent.is_(None)))


def begin(connection: Connection, process: str, intents: Mapping[int, Under]) -> None:
    """Bind the locks of intents, which come by their numbers.

    Raises ServiceBusy where one is not held any more: the process was taken for dead. Raises
    MemoryNotFound where a memory is dead, see tombstones.py.
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
    """Bind the rows of memories, which have the numbers of their intents. In one statement for
    many, since a batch has as many intents."""
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
    """Selects the rows of other processes that were added before those of a hold."""
    first = select(func.min(LOCKS.c.seq)).where(LOCKS.c.hold == bindparam("hold"))
    others = (_OTHER.c.process != bindparam("process"), _OTHER.c.seq < first.scalar_subquery())
    return select(_OTHER.c.kind).where(*others, *which)


def _covers(scope: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether the row `scope` is of a scope, and `other` of something that may be within it. An id
    that is null stands for none in the row of a memory, and for any in other rows."""
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
