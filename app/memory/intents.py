"""Intents as rows: kept before a write begins, and replaced by the history of what it did."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from app.memory import answers
from app.memory.database import Database
from app.memory.history import Said, add_rows, erase_texts, forget_said, keep_said
from app.memory.tables import ANSWERS, HISTORY, INTENTS, PARTS
from app.scopes import Scope

Rows = Sequence[Mapping[str, Any]]

_ADD = insert(INTENTS)
_NUMBERED = INTENTS.c.seq == bindparam("number")
_MARK_DONE = update(INTENTS).where(_NUMBERED, ~INTENTS.c.done).values(done=True)
_DROP_OPEN = delete(INTENTS).where(_NUMBERED, ~INTENTS.c.done)


class Part(NamedTuple):
    """Some of the many memories that an intent deletes, and their rows for the history."""

    ids: list[str]
    rows: list[dict[str, Any]]


class StoredIntent(NamedTuple):
    number: int
    id: str
    done: bool
    collecting: bool
    """Cut off while it was written down: nothing was done yet."""
    version: int
    body: str


class Intents:
    """The intents of a database, of every process that writes to it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        process: str,
        id_: str,
        version: int,
        body: str,
        *,
        repeat: tuple[str, str] | None = None,
        parts: Sequence[Part] = (),
        collecting: bool = False,
    ) -> int:
        """Keep an intent, perhaps of the request with the idempotency key `repeat`; its number.

        One that is `collecting` gets more parts by `append`, and is one after `complete`.
        """
        row = {"process": process, "id": id_, "version": version, "body": body}

        def write(connection: Connection) -> int:
            added = connection.execute(_ADD, {**row, "done": False, "collecting": collecting})
            number: int = added.lastrowid
            for part in parts:
                _add_part(connection, number, part)
            if repeat:
                answers.belongs_to(connection, repeat, number)
            return number

        return self._database.write(write)

    def append(self, number: int, part: Part) -> None:
        self._database.write(lambda connection: _add_part(connection, number, part))

    def complete(self, number: int) -> None:
        def write(connection: Connection) -> None:
            connection.execute(update(INTENTS).where(_is(number)).values(collecting=False))

        self._database.write(write)

    def finish(
        self,
        number: int,
        rows: Rows,
        *,
        keep: bool,
        answer: str | None = None,
        said: Said = (),
    ) -> None:
        """Put `rows` in the place of an open intent, which is kept as done where `keep` says so.
        Nothing where it was finished before: then they are there."""

        def write(connection: Connection) -> None:
            if _close(connection, number, keep=keep):
                add_rows(connection, rows)
                keep_said(connection, said)
                if answer is not None:
                    answers.keep(connection, number, answer)

        self._database.write(write)

    def finish_deletion(self, number: int, scope: Scope, *, keep: bool, purge: bool) -> None:
        """Put the rows of all parts into the history, and forget what was said in `scope`.

        {} is a reset and leaves nothing of the history. `purge` also erases the texts of the
        memories of `scope`, of those deleted before too, from the history and the answers;
        their events stay. One transaction for up to a thousand rows, several for more, between
        which others write; may be cut off and called again.
        """
        after: int | None = 0
        while after is not None:
            after = self._database.write(
                partial(_finish_some, number, scope, after, keep=keep, purge=purge)
            )

    def cancel(self, id_: str) -> None:
        """The write of an open intent did not take place, if it was begun at all."""

        def write(connection: Connection) -> None:
            mine = (INTENTS.c.id == id_) & ~INTENTS.c.done
            for number in connection.scalars(select(INTENTS.c.seq).where(mine)).all():
                answers.drop(connection, number)
            _drop(connection, mine)

        self._database.write(write)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drop intents that were done for good."""
        for start in range(0, len(numbers), 500):  # far below SQLite's bound on variables
            these = INTENTS.c.seq.in_(numbers[start : start + 500])
            self._database.write(partial(_drop, which=these))

    def number(self, id_: str) -> int | None:
        """Of an intent that is open; None where it was finished, or never begun."""
        query = select(INTENTS.c.seq).where(INTENTS.c.id == id_, ~INTENTS.c.done)
        # By a write: so it comes after every one that is still under way.
        return self._database.write(lambda connection: connection.scalar(query))

    def ids(self, number: int, at_once: int) -> Iterator[list[str]]:
        """The ids of all parts, so many at once; parts are never split."""
        numbers = select(PARTS.c.part).where(PARTS.c.intent == number).order_by(PARTS.c.part)
        with self._database.reading() as connection:
            parts = connection.scalars(numbers).all()
        some: list[str] = []
        for part in parts:
            mine = (PARTS.c.intent == number, PARTS.c.part == part)
            with self._database.reading() as connection:
                ids = json.loads(connection.scalar(select(PARTS.c.ids).where(*mine)) or "[]")
            if some and len(some) + len(ids) > at_once:
                yield some
                some = []
            some += ids
        if some:
            yield some

    def of(self, process: str) -> list[StoredIntent]:
        """Those of a process, in the order of their writes."""
        names = ("seq", "id", "done", "collecting", "version", "body")
        columns = [INTENTS.c[name] for name in names]
        query = select(*columns).where(INTENTS.c.process == process).order_by(INTENTS.c.seq)
        with self._database.reading() as connection:
            return [StoredIntent(*row) for row in connection.execute(query)]

    def processes(self) -> list[str]:
        """Who has intents, or requests with a key at work."""
        asking = ANSWERS.c.answer.is_(None) & ~ANSWERS.c.erased
        query = select(INTENTS.c.process).union(select(ANSWERS.c.process).where(asking))
        with self._database.reading() as connection:
            return [*connection.scalars(query)]

    def writing_beside(self, process: str) -> list[str]:
        """The other processes that have open intents: at work, or dead."""
        query = select(INTENTS.c.process).distinct()
        with self._database.reading() as connection:
            return [*connection.scalars(query.where(INTENTS.c.process != process, ~INTENTS.c.done))]

    def done(self, process: str) -> list[int]:
        """The numbers of a process's intents that were done."""
        query = select(INTENTS.c.seq).where(INTENTS.c.process == process, INTENTS.c.done)
        with self._database.reading() as connection:
            return [*connection.scalars(query)]


def _is(number: int) -> Any:
    return INTENTS.c.seq == number


def _close(connection: Connection, number: int, *, keep: bool) -> bool:
    """Whether it was open until now."""
    if not keep:
        connection.execute(delete(PARTS).where(PARTS.c.intent == number))
    closed = connection.execute(_MARK_DONE if keep else _DROP_OPEN, {"number": number})
    return closed.rowcount == 1


def _drop(connection: Connection, which: Any) -> None:
    numbers = select(INTENTS.c.seq).where(which)
    connection.execute(delete(PARTS).where(PARTS.c.intent.in_(numbers)))
    connection.execute(delete(INTENTS).where(which))


def _add_part(connection: Connection, number: int, part: Part) -> None:
    counted = select(func.count()).where(PARTS.c.intent == number)
    row = {
        "intent": number,
        "part": connection.scalar(counted),
        "ids": json.dumps(list(part.ids)),
        "rows": json.dumps(list(part.rows)),
    }
    connection.execute(insert(PARTS), row)


def _finish_some(
    number: int, scope: Scope, after: int, connection: Connection, *, keep: bool, purge: bool
) -> int | None:
    """As much of a deletion as one transaction should hold; the row to go on after, or None."""
    is_open = select(INTENTS.c.seq).where(_is(number), ~INTENTS.c.done)
    if connection.scalar(is_open) is None:  # it was finished before: others may have written since
        return None
    if _write_next_part(connection, number):
        return after
    if purge and scope and (last := erase_texts(connection, scope, after)):
        return last
    _close(connection, number, keep=keep)
    forget_said(connection, scope)
    if purge or not scope:
        answers.erase(connection, scope)
    if not scope:
        connection.execute(delete(HISTORY))
        _drop(connection, INTENTS.c.done & (INTENTS.c.seq != number))
    return None


def _write_next_part(connection: Connection, number: int) -> bool:
    """Put the rows of one part into the history; whether there are more."""
    unwritten = select(PARTS.c.part, PARTS.c.rows).where(
        PARTS.c.intent == number, PARTS.c.rows.is_not(None)
    )
    found = connection.execute(unwritten.order_by(PARTS.c.part).limit(2)).all()
    for part, rows in found[:1]:
        add_rows(connection, json.loads(rows))
        mine = (PARTS.c.intent == number, PARTS.c.part == part)
        connection.execute(update(PARTS).where(*mine).values(rows=None))
    return len(found) > 1
