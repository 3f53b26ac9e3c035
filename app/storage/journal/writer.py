"""The one way to write: its locks, its intent, its points, its history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

from app.errors import ServiceBusy, ServiceError
from app.security.scopes import Scope
from app.storage.history import traces
from app.storage.history.erased import Erased
from app.storage.history.messages import Messages, Said
from app.storage.history.parts import Part
from app.storage.journal.journal import Journal
from app.storage.journal.writes import Deletion, Write
from app.storage.payloads import Payload, history_row, scope_of
from app.storage.vectors.filters import in_scope
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

EVERYTHING = in_scope({}, show_expired=True)
PART, PART_CHARACTERS = 1000, 2_000_000  # of what is to be deleted: as much as a row should hold


class Taken(NamedTuple):
    """What a deletion of many took."""

    memories: int
    intents: int
    """Of earlier writes, that were kept until the store had flushed; 0 without a purge."""
    erased: Erased


class Writer:
    """Writes to the vectors and the history as one. Safe for many threads."""

    def __init__(self, store: VectorStore, messages: Messages, journal: Journal) -> None:
        self.store = store
        self.journal = journal
        self._messages = messages
        self.locks = journal.locks

    @contextmanager
    def alone_with(self, memory_id: str, find: Callable[[], Payload]) -> Iterator[Payload]:
        """The payload of a memory, as `find` gives it, that nobody else changes meanwhile, and of
        which nothing is unsure."""
        with self.locks.changing(memory_id, lambda: scope_of(find())):
            self.journal.clear_way(self.store, [memory_id])
            yield find()

    @contextmanager
    def alone_with_many(self, memories: Mapping[str, Scope]) -> Iterator[None]:
        """The same for several, by their ids, which may be there or not."""
        with self.locks.writing(memories):
            self.journal.clear_way(self.store, memories)
            yield

    def write(self, write: Write) -> None:
        """Of memories that the caller is alone with."""
        self.journal.write(self.store, write)

    def add(self, scope: Scope, write: Write) -> None:
        """New memories of `scope`."""
        # Who reads may find them before their history is written; a change waits for it, so that
        # each history begins with its ADD.
        with self.locks.writing(dict.fromkeys(write.adds, scope)):
            self.journal.clear_way(self.store, scope=scope)
            self.journal.write(self.store, write)

    def add_all(self, adds: Sequence[tuple[Scope, Write]]) -> None:
        """New memories of several scopes, each write whole or not at all, in one call of the store
        and two transactions. What it raises holds for every one of them."""
        scopes = [*{tuple(scope.items()): scope for scope, _ in adds}.values()]
        writes = [write for _, write in adds]
        new = {id_: scope for scope, write in adds for id_ in write.adds}
        with self.locks.writing(new):
            self.journal.clear_way_of_all(self.store, scopes)
            self.journal.write_all(self.store, writes)

    def nothing_new(self, said: Said, asked: tuple[str, str] | None, answer: str | None) -> None:
        """An add that found nothing to store: its answer, and what was said."""
        if asked and answer:
            self.journal.answers.answer(*asked, answer, self.journal.process, said)
        elif said:
            self._messages.save(said)

    def delete(
        self,
        deletion: Deletion,
        records: Callable[[], Iterator[Record]],
        written_by: str | None = None,
    ) -> Taken:
        """Delete many of a scope. `records` gives them when nobody else writes there any more."""
        scope = deletion.scope
        with self.locks.deleting(scope):
            self.journal.clear_way(self.store, scope=scope, whole=True)
            kept = 0
            if deletion.purge:  # so that no earlier intent keeps a text
                kept = traces.intents_of(self.journal.database, scope)
                self.journal.flushed(self.store.flush)
            ids: list[str] = []
            parts = _parts(records(), deletion, written_by, ids)
            erased = self.journal.delete(self.store, deletion, parts)
        return Taken(len(ids), kept, erased)

    def reset(self) -> int:
        """Delete everything, the history too; how many memories there were."""
        with self.locks.deleting({}):
            self.journal.clear_way(self.store, scope={}, whole=True)
            deleted = self.store.count({})
            # Where others share it, what is deleted has to be known.
            there = self.store.scan(EVERYTHING) if self.store.shared else iter(())
            self.journal.delete(self.store, Deletion({}), _ids(there))
            self.journal.database.keeps_erased()
        return deleted

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody writes meanwhile, and nothing is unsure. Raises ServiceBusy."""
        with self.locks.deleting({}):
            self.journal.clear_way(self.store, scope={}, whole=True)
            yield

    def begin_anew_if_lost(self) -> None:
        """Where others took this process for dead: be another one, once nothing is under way that
        began before."""
        if self.journal.is_lost:
            with self.locks.at_rest():
                self.journal.begin_anew()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Alone, and both stores have everything in their files. Raises ServiceError."""
        with self.alone():
            self.journal.flushed(self.store.flush)
            with self.store.still():
                yield

    def leftovers(self) -> list[dict[str, str]]:
        """After a purge, `where` the texts may still stand, and in `detail` until when."""
        left = [{"where": "vector_store", "detail": self.store.keeps_deleted}]
        if kept := self.journal.database.keeps_erased():
            left.append({"where": "history", "detail": kept})
        return left

    def close(self) -> None:
        """Wait for the writes at work, and bring everything to the disk."""
        with suppress(ServiceBusy), self.locks.at_rest():
            pass  # what is at work still is settled at the next start
        with suppress(ServiceError):
            self.journal.flushed(self.store.flush)
        self.journal.close()


def _ids(records: Iterator[Record]) -> Iterator[Part]:
    """The memories as parts of a reset, which leaves no history of them."""
    while ids := [record.id for record in islice(records, PART)]:
        yield Part(ids, [])


def _parts(
    records: Iterator[Record], deletion: Deletion, written_by: str | None, ids: list[str]
) -> Iterator[Part]:
    """The memories as parts of their deletion; adds every id to `ids`."""
    part, size = Part([], []), 0
    for record in records:
        row = history_row("DELETE", record.id, record.payload, None, written_by)
        if deletion.purge:
            row["old_memory"] = None
        if len(part.ids) == PART or size > PART_CHARACTERS:
            yield part
            part, size = Part([], []), 0
        part.ids.append(record.id)
        part.rows.append(row)
        ids.append(record.id)
        size += len(row["old_memory"] or "")
    if part.ids:
        yield part
