"""The progress of filling the catalogue from the store, and the process that does it."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, case, exists, func, select, true, update

from app.storage.history import catalogue, tombstones
from app.storage.history.catalogue import WRITES_BESIDE
from app.storage.history.database import Database
from app.storage.history.schema import FILLING, HISTORY, INTENTS
from app.storage.history.statements import add_if_absent
from app.storage.payloads import Payload


class Progress(NamedTuple):
    """The progress of reading through the store."""

    process: str | None = None
    """The process that does it; None before one has begun."""
    after: str | None = None
    """The store's cursor for the next memories; None at the beginning."""
    seen: int = 0
    complete: bool = False


NONE_YET = Progress()


class Filling:
    """Reads and writes the progress, which is a single row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self) -> Progress:
        columns = [FILLING.c[name] for name in Progress._fields]
        with self._database.reading() as connection:
            found = connection.execute(select(*columns)).first()
        return Progress(*found) if found else NONE_YET

    def has_to_wait(self) -> bool:
        """Whether processes of an earlier version, which keep no catalogue, are running."""
        with self._database.reading() as connection:
            return bool(connection.scalar(select(WRITES_BESIDE)))

    def at_rest(self) -> int | None:
        """The number of the last event of the history, where no write is under way."""
        last = select(func.coalesce(func.max(HISTORY.c.seq), 0)).scalar_subquery()
        query = select(case((~exists().where(~INTENTS.c.done), last)))
        with self._database.reading() as connection:
            number: int | None = connection.scalar(query)
        return number

    def claim(self, process: str, before: str | None) -> bool:
        """Become the process that does it, in the place of `before`. Returns False where another
        one was faster."""
        first = {"number": 1, **NONE_YET._asdict(), "process": process}
        free = FILLING.c.process.is_not_distinct_from(before)

        def write(connection: Connection) -> bool:
            if add_if_absent(connection, FILLING, first):
                return True
            return _set(connection, free, process=process)

        return self._database.write(write)

    def advance(self, process: str, after: str, seen: int) -> bool:
        """Store the progress. Returns whether `process` is still the one that does it."""
        mine = FILLING.c.process == process
        return self._database.write(
            lambda connection: _set(connection, mine, after=after, seen=seen)
        )

    def complete(self, process: str) -> bool:
        """Mark the catalogue as complete. Returns False where another process does it now, or where
        processes that keep no catalogue have written meanwhile."""
        mine = (FILLING.c.process == process) & ~WRITES_BESIDE
        return self._database.write(lambda connection: _set(connection, mine, complete=True))

    def begin_again(self, *, also_under_way: bool = False) -> None:
        """Mark a complete catalogue as incomplete, so that it is filled once more. Its rows
        stay, but nothing is counted in it until then. With `also_under_way`, a filling that is
        not complete begins again too."""
        which = true() if also_under_way else FILLING.c.complete
        anew = update(FILLING).where(which).values(NONE_YET._asdict())
        self._database.write(lambda connection: connection.execute(anew))

    def bring(self, memories: Mapping[str, Payload | None]) -> None:
        """Update the rows of `memories`, whose locks the caller holds, see catalogue.follow. Late
        arrivals, which are about to be deleted, get no rows."""

        def write(connection: Connection) -> None:
            late = tombstones.dead_among(connection, [*memories])
            catalogue.follow(connection, {**memories, **dict.fromkeys(late)})

        self._database.write(write)


def _set(connection: Connection, which: ColumnElement[bool], **values: object) -> bool:
    changed = update(FILLING).where(which, ~FILLING.c.complete).values(**values)
    return connection.execute(changed).rowcount == 1
