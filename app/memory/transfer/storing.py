"""Some arriving memories at a time: compared with what is there, embedded, and written as one."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto

from app.embeddings import Vector
from app.errors import ServiceError
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.arriving import Arriving, restored_rows
from app.memory.transfer.models import DeletedLine
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ImportRequest
from app.security.principal import Principal
from app.storage.history.rows import History
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Write
from app.storage.payloads import Payload, history_row, scope_of
from app.storage.vectors.paging import sliced

TEXTS_OWN = ("provider_refused", "provider_content_filtered", "embedder_input_too_long")
"""Failures that may be of one text and not of all."""

TAKEN = "This id cannot be used here: give the memory another, or none."
OTHER_SCOPE = "The memory with this id is of another scope: give this one another id, or none."
OTHER_CONTENT = (
    "A memory with this id is there and says something else: on_conflict=replace puts this one in "
    "its place, on_conflict=skip leaves it."
)

Points = Sequence[tuple[Arriving, Vector]]


class Fate(Enum):
    NEW = auto()
    UNCHANGED = auto()
    REPLACES = auto()
    SKIPPED = auto()


class Conflict(Exception):
    """The text is for the caller."""


class Storing:
    """Writes what arrives for one caller, and reports it."""

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

    def store(self, arriving: Sequence[Arriving]) -> None:
        """Memories of different ids, each whole or not at all. Raises what keeps all of them."""
        left = arriving
        while left:
            with self._alone_with(left):  # what is at work or unsure there is no answer yet
                stored = self._stored(left)
            wanted = [one for one in left if self._is_wanted(one, stored.get(one.id))]
            if self._asked.dry_run:
                return
            ready = self._embedded(wanted)
            # What somebody else wrote or deleted meanwhile is looked at once more.
            left = self._write(ready) if ready else []

    def store_deleted(self, line: DeletedLine) -> None:
        """The history of a memory that is gone, unless something is known of it."""
        if self._principal.scope:
            self._report.count("histories_left_out")
            return
        with self._writer.alone_with_many([line.id], [line.scope()]):
            if self._history.known([line.id]) or self._writer.store.get(line.id):
                self._report.count("unchanged")
                return
            if not self._asked.dry_run:
                self._writer.write(Write(restored_rows(line.id, line.scope(), line.history)))
        self._report.count("deleted_histories")

    # ---- inside

    def _alone_with(self, arriving: Sequence[Arriving]) -> AbstractContextManager[None]:
        scopes = [*{tuple(one.scope.items()): one.scope for one in arriving}.values()]
        return self._writer.alone_with_many([one.id for one in arriving], scopes)

    def _stored(self, arriving: Sequence[Arriving]) -> dict[str, Payload]:
        store = self._writer.store
        parts = sliced([one.id for one in arriving], store.read_at_once)
        return {record.id: record.payload for part in parts for record in store.get_many(part)}

    def _is_wanted(self, one: Arriving, stored: Payload | None) -> bool:
        """Whether it is to be written; the others are reported here."""
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

    def _embedded(self, arriving: Sequence[Arriving]) -> Points:
        """Those with a vector; whose text the embedder refuses is reported."""
        lacking = [one for one in arriving if one.vector is None]
        made = dict(zip((one.id for one in lacking), self._vectors(lacking), strict=True))
        vectors = [(one, one.vector or made.get(one.id)) for one in arriving]
        return [(one, vector) for one, vector in vectors if vector]

    def _vectors(self, arriving: Sequence[Arriving]) -> Sequence[Vector | None]:
        if not arriving:
            self._embedder.prepare()
            return []
        self._report.count("embedded", len(arriving))
        try:
            return self._embedder.embed([one.payload["data"] for one in arriving], "add")
        except ServiceError as error:
            if error.code not in TEXTS_OWN:
                raise
        return [self._alone(one) for one in arriving]

    def _alone(self, one: Arriving) -> Vector | None:
        try:
            return self._embedder.embed([one.payload["data"]], "add")[0]
        except ServiceError as error:
            if error.code not in TEXTS_OWN:
                raise
            self._report.fail(one.line, error.code, error.detail)
            return None

    def _write(self, ready: Points) -> list[Arriving]:
        """Write them, except those that must be looked at again, which are given back."""
        with self._alone_with([one for one, _ in ready]):
            stored = self._stored([one for one, _ in ready])
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
            # A history that is known here goes on; and only the admin may say who wrote what.
            with_history = one.id not in known and not self._principal.scope
            rows += one.rows(self._principal.key_id, with_history=with_history)
        points = {one.id: (vector, one.payload) for one, vector in new}
        if points:
            self._writer.write(Write(rows, dict(points), embedder=self._embedder.info))
        for one, _ in new:
            self._count(one, Fate.NEW)

    def _replace(self, one: Arriving, vector: Vector, old: Payload) -> None:
        # By itself: a change that was cut off is told by the time of its memory alone.
        payload = one.replacing(old)
        row = history_row("UPDATE", one.id, old, payload, self._principal.key_id)
        points: Mapping[str, tuple[Vector | None, Payload]] = {one.id: (vector, payload)}
        self._writer.write(Write([row], dict(points), embedder=self._embedder.info))
        self._count(one, Fate.REPLACES)
