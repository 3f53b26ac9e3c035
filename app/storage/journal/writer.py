"""The writer: the only way to write. It takes the locks, and writes by the journal."""

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
PART, PART_CHARACTERS = 1000, 2_000_000  # memories and characters in one part of a deletion


class Taken(NamedTuple):
    """The result of a deletion of many memories."""

    memories: int
    intents: int
    """How many finished intents a purge deleted, which were kept until a flush; else 0."""
    erased: Erased


class Writer:
    """Writes atomically to the vectors and the history. Safe for many threads."""

    def __init__(self, store: VectorStore, messages: Messages, journal: Journal) -> None:
        self.store = store
        self.journal = journal
        self._messages = messages
        self.locks = journal.locks

    @contextmanager
    def alone_with(self, memory_id: str, find: Callable[[], Payload]) -> Iterator[Payload]:
        """Gives the payload of a memory, as `find` returns it. Within the context no other writer
        changes the memory, and no intent about it is unsure."""
        self.journal.clear_own_way(self.store, memory_id)
        with self.locks.changing(memory_id, lambda: scope_of(find())):
            self.journal.clear_way(self.store, [memory_id])
            yield find()

    @contextmanager
    def alone_with_many(self, memories: Mapping[str, Scope]) -> Iterator[None]:
        """Like `alone_with` for several memories, which need not exist. `memories` has their scopes
        by their ids."""
        with self.locks.writing(memories):
            self.journal.clear_way(self.store, memories)
            yield

    def write(self, write: Write) -> None:
        """Write to memories that the caller is alone with."""
        self.journal.write(self.store, write)

    def add(self, scope: Scope, write: Write) -> None:
        """Add new memories of `scope`."""
        # A reader may see them before their history is written. A change waits for that, so that
        # each history begins with an ADD.
        with self.locks.writing(dict.fromkeys(write.adds, scope)):
            self.journal.clear_way(self.store, scope=scope)
            self.journal.write(self.store, write)

    def add_all(self, adds: Sequence[tuple[Scope, Write]]) -> None:
        """Add new memories of several scopes, with one call of the store and two transactions. Each
        write is atomic. A failure concerns all of them."""
        scopes = [*{tuple(scope.items()): scope for scope, _ in adds}.values()]
        writes = [write for _, write in adds]
        new = {id_: scope for scope, write in adds for id_ in write.adds}
        with self.locks.writing(new):
            self.journal.clear_way_of_all(self.store, scopes)
            self.journal.write_all(self.store, writes)

    def nothing_new(self, said: Said, asked: tuple[str, str] | None, answer: str | None) -> None:
        """Store the answer and the messages of an add that found nothing to remember."""
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
        """Delete many memories of a scope. `records` is called when the scope is locked."""
        scope = deletion.scope
        with self.locks.deleting(scope):
            self.journal.clear_way(self.store, scope=scope, whole=True)
            kept = 0
            if deletion.purge:  # finished intents that wait for a flush have texts, too
                kept = traces.intents_of(self.journal.database, scope)
                self.journal.flushed(self.store.flush)
            ids: list[str] = []
            parts = _parts(records(), deletion, written_by, ids)
            erased = self.journal.delete(self.store, deletion, parts)
        return Taken(len(ids), kept, erased)

    def reset(self) -> int:
        """Delete everything, including the history. Returns how many memories there were."""
        with self.locks.deleting({}):
            self.journal.clear_way(self.store, scope={}, whole=True)
            deleted = self.store.count({})
            # A shared store is not cleared but deleted by ids, see Execution.steps.
            there = self.store.scan(EVERYTHING) if self.store.shared else iter(())
            self.journal.delete(self.store, Deletion({}), _ids(there))
            self.journal.database.keeps_erased()
        return deleted

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Held while no other writer writes and no intent is unsure. Raises ServiceBusy."""
        with self.locks.deleting({}):
            self.journal.clear_way(self.store, scope={}, whole=True)
            yield

    def begin_anew_if_lost(self) -> None:
        """Where others declared this process dead, let it get a new id, when all its running writes
        have ended."""
        if self.journal.is_lost:
            with self.locks.at_rest():
                self.journal.begin_anew()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Held while no writer writes and both stores have flushed everything to their files.
        Raises ServiceError."""
        with self.alone():
            self.journal.flushed(self.store.flush)
            with self.store.still():
                yield

    def leftovers(self) -> list[dict[str, str]]:
        """Where texts may still be stored after a purge (`where`), and until when (`detail`)."""
        left = [{"where": "vector_store", "detail": self.store.keeps_deleted}]
        if kept := self.journal.database.keeps_erased():
            left.append({"where": "history", "detail": kept})
        return left

    def close(self) -> None:
        """Wait for the running writes, and flush everything to the disk."""
        with suppress(ServiceBusy), self.locks.at_rest():
            pass  # a write that still runs after the wait is recovered at the next start
        with suppress(ServiceError):
            self.journal.flushed(self.store.flush)
        self.journal.close()


def _ids(records: Iterator[Record]) -> Iterator[Part]:
    """The memories as parts of a reset, without rows, because their history is deleted, too."""
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
