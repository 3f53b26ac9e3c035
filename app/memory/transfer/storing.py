"""Stores imported memories, some at a time: compares them with the stored ones, embeds them, and
writes them together."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto

from app.embeddings import Vector
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.arriving import Arriving, restored_rows
from app.memory.transfer.embedding import ArrivingEmbedder, Points
from app.memory.transfer.models import DeletedLine
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ImportRequest
from app.security.principal import Principal
from app.storage.history.rows import History
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Write
from app.storage.payloads import Payload, history_row, scope_of
from app.storage.vectors.paging import sliced

TAKEN = "This id cannot be used here: give the memory another, or none."
OTHER_SCOPE = "The memory with this id is of another scope: give this one another id, or none."
OTHER_CONTENT = (
    "A memory with this id is there and says something else: on_conflict=replace puts this one in "
    "its place, on_conflict=skip leaves it."
)


class Fate(Enum):
    NEW = auto()
    UNCHANGED = auto()
    REPLACES = auto()
    SKIPPED = auto()


class Conflict(Exception):
    """The memory's id cannot be used; the text tells the caller why."""


class Storing:
    """Stores the memories of one import, and reports their outcomes."""

    def __init__(
        self,
        writer: Writer,
        history: History,
        embedder: CollectionEmbedder,
        principal: Principal,
        asked: ImportRequest,
        report: Report,
    ) -> None:
        self._writer = writer
        self._history = history
        self._embedder = embedder
        self._principal = principal
        self._asked = asked
        self._report = report
        self._embed = ArrivingEmbedder(embedder, report)

    def store(self, arriving: Sequence[Arriving]) -> None:
        """Store memories with different ids; each is stored with its history or not at all. Raises
        failures that concern all of them."""
        left = arriving
        while left:
            with self._alone_with(left):  # waits for unfinished writes of these memories
                stored = self._stored([one.id for one in left])
            wanted = [one for one in left if self._is_wanted(one, stored.get(one.id))]
            if self._asked.dry_run:
                return
            ready = self._embed(wanted)
            # Memories that another writer changed meanwhile are compared again.
            left = self._write(ready) if ready else []

    def store_deleted(self, deleted: Sequence[DeletedLine]) -> None:
        """Store the histories of deleted memories with different ids, except those that have a
        memory or a history here."""
        if self._principal.scope:
            self._report.count("histories_left_out", len(deleted))
            return
        ids = [one.id for one in deleted]
        with self._writer.alone_with_many({one.id: one.scope() for one in deleted}):
            known = self._stored(ids).keys() | self._history.known(ids)
            new = [one for one in deleted if one.id not in known]
            rows = [row for one in new for row in restored_rows(one.id, one.scope(), one.history)]
            if rows and not self._asked.dry_run:
                self._writer.write(Write(rows, given_ids=True))
        self._report.count("unchanged", len(deleted) - len(new))
        self._report.count("deleted_histories", len(new))

    # ---- inside

    def _alone_with(self, arriving: Sequence[Arriving]) -> AbstractContextManager[None]:
        return self._writer.alone_with_many({one.id: one.scope for one in arriving})

    def _stored(self, ids: Sequence[str]) -> dict[str, Payload]:
        store = self._writer.store
        parts = sliced(ids, store.read_at_once)
        return {record.id: record.payload for part in parts for record in store.get_many(part)}

    def _is_wanted(self, one: Arriving, stored: Payload | None) -> bool:
        """Whether the memory has to be written; if not, its outcome is reported."""
        try:
            fate = self._fate(one, stored)
        except Conflict as conflict:
            self._report.fail(one.line, "conflict", str(conflict))
            return False
        if fate in (Fate.UNCHANGED, Fate.SKIPPED):
            self._report.count(fate.name.lower())
            return False
        if self._asked.dry_run:
            self._count(one, fate)
        return True

    def _fate(self, one: Arriving, stored: Payload | None) -> Fate:
        if stored is None:
            return Fate.NEW
        if not self._principal.may_see(stored):
            raise Conflict(TAKEN)
        if scope_of(stored) != one.scope:
            raise Conflict(OTHER_SCOPE)
        if one.is_same(stored):
            return Fate.UNCHANGED
        if self._asked.on_conflict == "fail":
            raise Conflict(OTHER_CONTENT)
        return Fate.SKIPPED if self._asked.on_conflict == "skip" else Fate.REPLACES

    def _count(self, one: Arriving, fate: Fate) -> None:
        self._report.count("replaced" if fate is Fate.REPLACES else "imported")
        if one.events and self._principal.scope:
            self._report.count("histories_left_out")

    def _write(self, ready: Points) -> list[Arriving]:
        """Write the memories. Returns those that must be compared again."""
        with self._alone_with([one for one, _ in ready]):
            stored = self._stored([one.id for one, _ in ready])
            self._write_new([(one, vector) for one, vector in ready if one.id not in stored])
            left = []
            for one, vector in ready:
                if (old := stored.get(one.id)) is None:
                    continue
                if self._replaces(one, old):
                    self._replace(one, vector, old)
                else:
                    left.append(one)
        return left

    def _replaces(self, one: Arriving, stored: Payload) -> bool:
        try:
            return self._fate(one, stored) is Fate.REPLACES
        except Conflict:
            return False

    def _write_new(self, new: Points) -> None:
        known = self._history.known([one.id for one, _ in new if one.events])
        rows = []
        for one, _ in new:
            # A history that exists here is continued. Only the admin may import histories, since
            # they say which key wrote what.
            with_history = one.id not in known and not self._principal.scope
            rows += one.rows(self._principal.key_id, with_history=with_history)
        points = {one.id: (vector, one.payload) for one, vector in new}
        if points:
            self._writer.write(
                Write(rows, dict(points), embedder=self._embedder.info, given_ids=True)
            )
        for one, _ in new:
            self._count(one, Fate.NEW)

    def _replace(self, one: Arriving, vector: Vector, old: Payload) -> None:
        # One write for each, because recovery recognises an interrupted change by the time of its
        # one memory.
        payload = one.replacing(old)
        row = history_row("UPDATE", one.id, old, payload, self._principal.key_id)
        points: Mapping[str, tuple[Vector | None, Payload]] = {one.id: (vector, payload)}
        self._writer.write(Write([row], dict(points), embedder=self._embedder.info))
        self._count(one, Fate.REPLACES)
