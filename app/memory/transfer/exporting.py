"""Exports memories as lines, which are read from the stores while they are sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from app.config import VERSION
from app.memory.transfer import lines
from app.memory.transfer.lines import Digest, Line
from app.memory.transfer.requests import ExportRequest
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.rows import History
from app.storage.listings import Listings
from app.storage.payloads import PLACE, to_memory
from app.storage.vectors.filters import Filter, in_scope
from app.storage.vectors.paging import PAGE, Cursor, Listed, sliced
from app.storage.vectors.points import Whole
from app.storage.vectors.store import VectorStore

Histories = Mapping[str, list[dict[str, Any]]]
"""The history of each memory, by its id."""

HELD = 100  # ids held at once; more where many memories have the same time
HISTORIES = 32  # histories that are read at once
DELETIONS = 500  # deletions that are looked up at once


class Exporting:
    """Exports what the principal may see, from the vectors and the history."""

    def __init__(self, store: VectorStore, history: History, listings: Listings) -> None:
        self._store = store
        self._history = history
        self._listings = listings

    def lines(self, principal: Principal, asked: ExportRequest) -> Iterator[bytes]:
        """The lines: a header, the memories (newest first, then by id), the deleted ones, and a
        last line with a digest of the others.

        A memory that is changed meanwhile is exported in its old or new state, and one that is
        deleted is left out. Raises ServiceBusy, also between two lines, where a deletion by scope
        comes in between."""
        scope = principal.narrowed(asked.scope())
        parts = self._listings.unbroken(scope, lambda: self._parts(scope, asked))
        made_by = self._store.embedder() if asked.vectors else None
        digest = Digest()
        for part in chain([[lines.header(VERSION, made_by)]], parts):
            yield from map(digest.add, part)
        yield digest.end()

    def _parts(self, scope: Scope, asked: ExportRequest) -> Iterator[Iterable[Line]]:
        """Lines, of each part when all was read that they are made of; the last part has none."""
        for ids in self._ids(in_scope(scope, show_expired=True)):
            for some in sliced(ids, self._store.read_at_once):
                found, histories = self._store.get_whole(some), {}
                if asked.history != "none":
                    histories = self._history.of_many([one.record.id for one in found], scope)
                yield _memories(found, histories, asked)
        if asked.history == "all":
            yield from self._deleted(scope)
        yield ()

    def _ids(self, where: Filter) -> Iterator[Sequence[str]]:
        """The ids of the memories, some at a time, in an order that is the same on each engine."""
        in_order = groupby(self._listed(where), key=lambda one: one.time)
        held: list[str] = []
        for _, same in in_order:
            held += sorted(one.id for one in same)
            if len(held) >= HELD:
                yield held
                held = []
        yield held

    def _listed(self, where: Filter) -> Iterator[Listed]:
        after: Cursor | None = None
        while True:
            page, after = self._store.newest(where, PAGE, after)
            yield from page
            if after is None:
                return

    def _deleted(self, scope: Scope) -> Iterator[Iterable[Line]]:
        """The lines of deleted memories, in the order of their deletion."""
        after = 0
        while found := self._history.deletions(scope, after, DELETIONS):
            for some in sliced(found, HISTORIES):
                yield _deleted(some, self._history.of_many([id_ for _, id_ in some], scope))
            after = found[-1][0]


def _memories(found: Sequence[Whole], histories: Histories, asked: ExportRequest) -> Iterator[Line]:
    for one in found:
        rows = histories.get(one.record.id, [])
        if rows and rows[-1]["event"] == "DELETE":
            continue  # while it was read
        payload = one.record.payload
        line = {"type": "memory", **to_memory(one.record.id, payload)}
        if (place := payload.get(PLACE)) is not None:
            line["place"] = place
        if rows:
            line["history"] = [lines.event(row) for row in rows]
        if asked.vectors and one.vector is not None:
            line["vector"] = lines.packed(one.vector)
        yield line


def _deleted(found: Sequence[tuple[int, str]], histories: Histories) -> Iterator[Line]:
    for number, id_ in found:
        rows = histories.get(id_, [])
        if rows and rows[-1]["seq"] == number:  # nothing came after its deletion
            ids = {key: rows[-1][key] for key in SCOPE_KEYS if rows[-1][key]}
            events = [lines.event(row) for row in rows]
            yield {"type": "deleted", "id": id_, **ids, "history": events}
