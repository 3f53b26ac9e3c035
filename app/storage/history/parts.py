"""The parts of intents that delete many memories: ids and history rows, a thousand in each."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from app.storage.history import catalogue, rows
from app.storage.history.database import Database
from app.storage.history.schema import INTENTS, PARTS


class Part(NamedTuple):
    """Some of the memories that an intent deletes, and their rows for the history."""

    ids: list[str]
    rows: list[dict[str, Any]]


def add(connection: Connection, intent: int, part: Part) -> None:
    counted = select(func.count()).where(PARTS.c.intent == intent)
    row = {
        "intent": intent,
        "part": connection.scalar(counted),
        "ids": json.dumps(list(part.ids)),
        "rows": json.dumps(list(part.rows)),
    }
    connection.execute(insert(PARTS), row)


def ids(database: Database, intent: int, at_once: int) -> Iterator[list[str]]:
    """The ids of all parts, at most `at_once` at a time, unless a single part has more."""
    numbers = select(PARTS.c.part).where(PARTS.c.intent == intent).order_by(PARTS.c.part)
    with database.reading() as connection:
        parts = connection.scalars(numbers).all()
    some: list[str] = []
    for part in parts:
        mine = (PARTS.c.intent == intent, PARTS.c.part == part)
        with database.reading() as connection:
            found = json.loads(connection.scalar(select(PARTS.c.ids).where(*mine)) or "[]")
        if some and len(some) + len(found) > at_once:
            yield some
            some = []
        some += found
    if some:
        yield some


def write_next(connection: Connection, intent: int, *, catalogued: bool) -> bool:
    """Write the rows of the next part into the history. Returns whether there are more parts."""
    unwritten = select(PARTS.c.part, PARTS.c.rows, PARTS.c.ids).where(
        PARTS.c.intent == intent, PARTS.c.rows.is_not(None)
    )
    found = connection.execute(unwritten.order_by(PARTS.c.part).limit(2)).all()
    for part, text, ids in found[:1]:
        rows.add(connection, json.loads(text))
        if catalogued:
            catalogue.drop(connection, json.loads(ids))
        mine = (PARTS.c.intent == intent, PARTS.c.part == part)
        connection.execute(update(PARTS).where(*mine).values(rows=None))
    return len(found) > 1


def drop(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete the parts of `which` intents."""
    intents = select(INTENTS.c.seq).where(which)
    connection.execute(delete(PARTS).where(PARTS.c.intent.in_(intents)))
