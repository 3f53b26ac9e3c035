"""Ends an intent: its row goes as the history of its write is stored, in one transaction."""

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
    """Drop an open intent, or, with `keep`, mark it as done. Returns whether it was open."""
    closed = connection.execute(_MARK_DONE if keep else _DROP_OPEN, {"number": number})
    return closed.rowcount == 1


def drop(connection: Connection, which: ColumnElement[bool]) -> None:
    parts.drop(connection, which)
    connection.execute(delete(INTENTS).where(which))


def numbered(number: int) -> ColumnElement[bool]:
    return INTENTS.c.seq == number


@dataclass(frozen=True)
class Finishing:
    """Finishes a deletion that was carried out, see Intents.finish_deletion."""

    number: int
    scope: Scope | None
    keep: bool
    purge: bool
    last_job: int
    catalogued: bool

    def some(self, after: int, connection: Connection) -> tuple[int | None, Erased]:
        """Do as much as one transaction should. Returns the row to continue after, None at the end,
        and what was erased."""
        # Locks the row, so that a second process that finishes the same deletion waits.
        mine = select(INTENTS.c.id).where(numbered(self.number), ~INTENTS.c.done)
        found = connection.execute(mine.with_for_update()).first()
        if found is None:
            return None, Erased()  # finished before, and others may have written since
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
        """For a reset: drop some rows of the history. Returns whether there may be more."""
        if rows.drop_some(connection):
            return True
        return self.catalogued and catalogue.drop_some(connection)

    def _forget(self, connection: Connection, events: int) -> Erased:
        """Erase what the other tables have of the scope."""
        if self.scope is None:
            return Erased()
        erases = self.purge or not self.scope
        said = messages.forget(connection, self.scope)
        cancelled = job_rows.cancel_within(connection, self.scope, self.last_job, erase=erases)
        answered = answers.erase(connection, self.scope) if erases else 0
        if not self.scope:
            drop(connection, INTENTS.c.done & (INTENTS.c.seq != self.number))
        return Erased(events, said, answered, cancelled)
