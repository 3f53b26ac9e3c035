"""Locks as rows: what the processes of a fleet hold, so that others wait.

A row belongs to its process and goes with it: when that is over, others may take it away. One that
an intent was begun under stays until the intent is settled, whatever has become of its thread: so
nobody writes to a memory of which it is not known what a write has done to it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    false,
    insert,
    or_,
    select,
    true,
    update,
)

from app.errors import MemoryNotFound, ServiceBusy
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history import tombstones
from app.storage.history.schema import LOCKS, within
from app.storage.vectors.paging import sliced

KEYS_AT_ONCE = 500  # far below any database's bound on variables
LOST = "This process was taken for dead and its locks are gone; ask again."
KEY, MEMORY, ANY, SCOPE = "key", "memory", "any", "scope"
"""What a row is: of a key alone; of a memory of its scope; of a memory of anybody's; of a scope,
for which nobody else may write there."""


class Under(NamedTuple):
    """The locks of an intent: of memories, by their ids, or of a scope. Without both it needs
    none."""

    memories: Collection[str] = ()
    changed: Collection[str] = ()
    """Of these memories those that are not new."""
    scope: Scope | None = None


NO_LOCKS = Under()


def is_held(connection: Connection, keys: Collection[str], process: str) -> bool:
    """Whether another process has one of these keys."""
    return any(
        _any(connection, process, LOCKS.c.key.in_(some)) for some in sliced([*keys], KEYS_AT_ONCE)
    )


def is_deleted(connection: Connection, scopes: Sequence[Scope] | None, process: str) -> bool:
    """Whether another process has a scope that a memory of one of these is of; None: any."""
    if not _any(connection, process, LOCKS.c.kind == SCOPE):  # nearly always
        return False
    return scopes is None or any(_any(connection, process, _spanning(one)) for one in scopes)


def add_memories(
    connection: Connection, process: str, hold: str, memories: Mapping[str, Scope | None]
) -> None:
    """By their ids; of None it is not known whose they are."""
    rows = [
        _row(process, hold, ANY if scope is None else MEMORY, id_, scope)
        for id_, scope in memories.items()
    ]
    connection.execute(insert(LOCKS), rows)


def add_key(connection: Connection, process: str, hold: str, key: str) -> None:
    connection.execute(insert(LOCKS), _row(process, hold, KEY, key, None))


def add_scope(connection: Connection, process: str, hold: str, scope: Scope) -> int:
    """The number of the row."""
    added = connection.execute(insert(LOCKS), _row(process, hold, SCOPE, None, scope))
    number: int = added.inserted_primary_key[0]  # type: ignore[index]  # of one row: set
    return number


def _row(
    process: str, hold: str, kind: str, key: str | None, scope: Scope | None
) -> dict[str, str | None]:
    scoped = {**dict.fromkeys(SCOPE_KEYS), **(scope or {})}
    return {"process": process, "hold": hold, "kind": kind, "key": key, **scoped}


def is_first(connection: Connection, number: int, scope: Scope, process: str) -> bool:
    """Whether nobody of another process who came before the row `number` writes within `scope`."""
    memory = (LOCKS.c.kind == MEMORY) & within(LOCKS, scope)
    meeting = (LOCKS.c.kind == SCOPE) & _overlapping(scope)
    before = (LOCKS.c.seq < number) & or_(LOCKS.c.kind == ANY, memory, meeting)
    return not _any(connection, process, before)


def release(connection: Connection, hold: str) -> None:
    """Unless an intent goes on under it."""
    connection.execute(delete(LOCKS).where(LOCKS.c.hold == hold, LOCKS.c.intent.is_(None)))


def release_all(connection: Connection, process: str) -> None:
    """The same for all of a process that is gone."""
    connection.execute(delete(LOCKS).where(LOCKS.c.process == process, LOCKS.c.intent.is_(None)))


def begin(connection: Connection, process: str, intent: int, under: Under) -> None:
    """Let an intent go on `under` these locks.

    Raises ServiceBusy where one is not held any more: the process was taken for dead. Raises
    MemoryNotFound where a memory is dead, see tombstones.py.
    """
    if under is NO_LOCKS:  # as where no other process writes: not a statement is spent on it
        return
    if tombstones.is_dead(connection, under.changed):
        raise MemoryNotFound
    free = update(LOCKS).where(LOCKS.c.process == process, LOCKS.c.intent.is_(None))
    bind = free.values(intent=intent).returning(LOCKS.c.key)
    bound: set[str | None] = set()
    for some in sliced([*under.memories], KEYS_AT_ONCE):
        bound |= {*connection.scalars(bind.where(LOCKS.c.key.in_(some)))}
    if under.scope is not None:
        mine = (LOCKS.c[key] == under.scope.get(key) for key in SCOPE_KEYS)
        bound |= {*connection.scalars(bind.where(LOCKS.c.kind == SCOPE, *mine))}
    if bound != {*under.memories, *([None] if under.scope is not None else [])}:
        raise ServiceBusy(LOST)


def _any(connection: Connection, process: str, which: ColumnElement[bool]) -> bool:
    query = select(LOCKS.c.seq).where(LOCKS.c.process != process, which).limit(1)
    return connection.scalar(query) is not None


def _spanning(scope: Scope) -> ColumnElement[bool]:
    """The rows of scopes that a memory of `scope` is within."""
    mine = (or_(LOCKS.c[key].is_(None), _is(key, scope.get(key))) for key in SCOPE_KEYS)
    return and_(LOCKS.c.kind == SCOPE, *mine)


def _overlapping(scope: Scope) -> ColumnElement[bool]:
    given = (or_(LOCKS.c[key].is_(None), _is(key, value)) for key, value in scope.items())
    return and_(true(), *given)


def _is(key: str, value: Any) -> ColumnElement[bool]:
    return false() if value is None else LOCKS.c[key] == value
