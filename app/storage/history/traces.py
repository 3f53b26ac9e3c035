"""Counts what the history database still has of a scope."""

import json
from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from app.security.scopes import Scope, is_within
from app.storage.history.database import Database
from app.storage.history.rows import HAS_TEXT
from app.storage.history.schema import ANSWERS, HISTORY, INTENTS, JOBS, MESSAGES, PARTS, within
from app.storage.payloads import scope_of

_WITH_TEXT: Mapping[str, tuple[Table, ColumnElement[bool]]] = {
    "history": (HISTORY, HAS_TEXT),
    "messages": (MESSAGES, MESSAGES.c.content.is_not(None)),
    "answers": (ANSWERS, ANSWERS.c.answer.is_not(None)),
    "jobs": (JOBS, or_(JOBS.c.body.is_not(None), JOBS.c.outcome.is_not(None))),
}


def of_scope(database: Database, scope: Scope) -> dict[str, int]:
    """The number of rows in each table that have a text of the scope."""
    with database.reading() as connection:
        found = {
            name: _count(connection, within(table, scope) & has_text)
            for name, (table, has_text) in _WITH_TEXT.items()
        }
    return found | {"intents": intents_of(database, scope)}


def intents_of(database: Database, scope: Scope) -> int:
    """The number of intents, finished or not, that concern memories of the scope."""
    with database.reading() as connection:
        bodies = connection.scalars(select(INTENTS.c.body)).all()
        parts = connection.scalars(select(PARTS.c.rows).where(PARTS.c.rows.is_not(None))).all()
    rows = [json.loads(body).get("rows", ()) for body in bodies]
    rows += [json.loads(part) for part in parts]
    return sum(any(is_within(scope_of(row), scope) for row in some) for some in rows)


def _count(connection: Connection, which: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).where(which)) or 0
