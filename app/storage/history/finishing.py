"""How an intent's row ends: with what it did in the history, in one transaction."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, delete, select, update

from app.security.scopes import Scope
from app.storage.history import answers, catalogue, deletions, job_rows, messages, parts, rows
from app.storage.history.erased import Erased
from app.storage.history.schema import INTENTS

_NUMBERED = INTENTS.c.seq == bindparam("number")
_MARK_DONE = update(INTENTS).where(_NUMBERED, ~INTENTS.c.done).values(done=True)
_DROP_OPEN = delete(INTENTS).where(_NUMBERED, ~INTENTS.c.done)


def close(connection: Connection, number: int, *, keep: bool) -> bool:
    """Mark it as done, or drop it. Whether it was open until now."""
    closed = connection.execute(_MARK_DONE if keep else _DROP_OPEN, {"number": number})
    return closed.rowcount == 1


def drop(connection: Connection, which: ColumnElement[bool]) -> None:
    parts.drop(connection, which)
    connection.execute(delete(INTENTS).where(which))


def numbered(number: int) -> ColumnElement[bool]:
    return INTENTS.c.seq == number


@dataclass(frozen=True)
class Finishing:
    """A deletion that was carried out, see Intents.finish_deletion."""

    number: int
    scope: Scope | None
    keep: bool
    purge: bool
    last_job: int
    catalogued: bool

    def some(self, after: int, connection: Connection) -> tuple[int | None, Erased]:
        """As much of it as one transaction should hold; the row to go on after, or None."""
        # With a lock on it: who finishes the same meanwhile waits.
        mine = select(INTENTS.c.id).where(numbered(self.number), ~INTENTS.c.done)
        found = connection.execute(mine.with_for_update()).first()
        if found is None:
            return None, Erased()  # it was finished before: others may have written since
        if parts.write_next(connection, self.number, catalogued=self.catalogued):
            return after, Erased()
        last, events = None, 0
        if self.purge and self.scope:
            last, events = rows.erase_texts(connection, self.scope, after)
        if last:
            return last, Erased(history=events)
        if self.scope == {} and self._drop_some(connection):
            return after, Erased()
        if not self.keep:
            parts.drop(connection, numbered(self.number))
        close(connection, self.number, keep=self.keep)
        erased = self._forget(connection, events)
        deletions.end(connection, found.id)
        return None, erased

    def _drop_some(self, connection: Connection) -> bool:
        """Of a reset; whether there may be more."""
        if rows.drop_some(connection):
            return True
        return self.catalogued and catalogue.drop_some(connection)

    def _forget(self, connection: Connection, events: int) -> Erased:
        """What is beside the history."""
        if self.scope is None:
            return Erased()
        erases = self.purge or not self.scope
        said = messages.forget(connection, self.scope)
        cancelled = job_rows.cancel_within(connection, self.scope, self.last_job, erase=erases)
        answered = answers.erase(connection, self.scope) if erases else 0
        if not self.scope:
            drop(connection, INTENTS.c.done & (INTENTS.c.seq != self.number))
        return Erased(events, said, answered, cancelled)
