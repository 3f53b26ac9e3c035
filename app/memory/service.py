"""The nine operations. Every write goes through here: its lock, its points, its history."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from app.errors import LLMNotConfigured, MemoryNotFound, ServiceBusy
from app.memory.engine import Memory
from app.memory.filters import Filter, corpus_of, in_scope
from app.memory.history import History, Said
from app.memory.journal import Caretaker, Intent, Journal
from app.memory.listings import Listing, Listings
from app.memory.locks import KeyedLock, SharedLock
from app.memory.payloads import (
    Payload,
    changed_payload,
    history_row,
    is_expired,
    is_within,
    new_id,
    new_payload,
    to_memory,
)
from app.memory.places import Places
from app.memory.ranking import Ranked, Record
from app.memory.readiness import Check
from app.memory.repeats import Repeat, once
from app.memory.stores.base import Vector, VectorStore
from app.memory.stores.paging import Chunk, Cursor
from app.scopes import SCOPE_KEYS, Scope

MAX_IDS = 1000  # of users, agents and runs each, that are counted
LISTED_AT_ONCE = 10_000  # of what is to be deleted: few calls, and an answer that can be held

STARTS = 5  # of a listing that meets deletions

T = TypeVar("T")

Message = Mapping[str, str]
Points = Mapping[str, tuple[Vector, Payload]]


@dataclass(frozen=True)
class Added:
    """What an add stored, in order, and how many facts it could not."""

    stored: list[dict[str, str]]
    failed: int = 0


class Page(NamedTuple):
    """A part of a listing."""

    memories: list[dict[str, Any]]
    total: int | None
    """How many pass, over all pages; None where all are listed."""
    cursor: str | None
    """Of what follows; None at the end."""


@dataclass(frozen=True)
class _New:
    """What an add was given."""

    messages: Sequence[Message]
    scope: Scope
    metadata: Mapping[str, Any]
    expiration_date: str | None
    repeat: Repeat | None


class MemoryService:
    """What an assistant remembers about its users. Safe for many threads.

    Scopes, ids and metadata come validated. `within` is what the caller may see: a memory
    outside of it is not found, like one that never was. Beside what is named below, every
    operation may raise VectorStoreUnavailable or HistoryUnavailable.
    """

    def __init__(
        self,
        memory: Memory,
        store: VectorStore,
        history: History,
        journal: Journal,
        readiness: Callable[[], dict[str, Check]] = dict,
        flush_seconds: float = 5,
        llm_places: int = 128,
    ) -> None:
        """`store` and `history` are the ones that `memory` reads from; all are closed with it."""
        self._readiness = readiness
        self._journal = journal
        self._caretaker = Caretaker(journal, store, flush_seconds)
        self._memory = memory
        self._store = store
        self._history = history
        self._writing = SharedLock()  # exclusive for what deletes by scope: scopes overlap
        self._changing = KeyedLock()  # by memory id
        self._inferring = KeyedLock()  # by scope
        self._thinking = Places(llm_places)
        self._listings = Listings()

    # ---- reading

    def get(
        self, memory_id: str, *, within: Scope | None = None, show_expired: bool = False
    ) -> dict[str, Any]:
        """Raises MemoryNotFound, also for an expired memory unless `show_expired`."""
        record = self._find(memory_id, within)
        if is_expired(record.payload) and not show_expired:
            raise MemoryNotFound
        return to_memory(record.id, record.payload)

    def get_all(self, scope: Scope, *, limit: int, **chosen: Any) -> dict[str, Any]:
        """One page as a whole, for who has room for it; see `listing`."""
        pages = [*self.listing(scope, limit=limit, **chosen)]
        return {
            "results": [memory for page in pages for memory in page.memories],
            "total": pages[0].total,
            "next_cursor": pages[-1].cursor,
        }

    def listing(
        self,
        scope: Scope,
        *,
        limit: int | None = None,
        filters: Filter | None = None,
        after: Cursor | None = None,
        show_expired: bool = False,
    ) -> Iterator[Page]:
        """The first `limit` memories (None: all), newest first. No scope means all users.

        The first Page is read now, the others as they are taken, each small enough to be held;
        at least one. Raises FilterTooExpensive; and ServiceBusy, also on the way, where what is
        listed is deleted by its scope: a part is never given for the whole.
        """
        where = in_scope(scope, show_expired=show_expired, extra=filters)

        def read() -> Iterator[Page]:
            total = None
            for chunk in self._store.chunks(where, limit, after):
                if limit is not None and total is None:
                    total = self._store.count(where)
                yield _page(chunk, total)

        return self._unbroken(scope, read)

    def count(self) -> int:
        """How many memories are stored, of all users, the expired ones too."""
        return self._store.count({})

    def search(self, query: str, scope: Scope, **chosen: Any) -> list[dict[str, Any]]:
        """What is found as a whole, for who has room for it; see `found`."""
        return [result for results in self.found(query, scope, **chosen) for result in results]

    def found(
        self,
        query: str,
        scope: Scope,
        *,
        filters: Filter | None = None,
        limit: int = 10,
        threshold: float | None = None,
        explain: bool = False,
        show_expired: bool = False,
    ) -> Iterator[list[dict[str, Any]]]:
        """Best first, in lists of which each is small enough to be held; at least one. No scope
        means all users. Raises what `listing` raises."""
        where = in_scope(scope, show_expired=show_expired, extra=filters)

        def read() -> Iterator[list[dict[str, Any]]]:
            results = self._memory.search(
                query, where, limit=limit, threshold=threshold, corpus=corpus_of(scope)
            )
            return ([_search_result(result, explain) for result in part] for part in results)

        return self._unbroken(scope, read)

    def scopes(self, scope: Scope | None = None) -> dict[str, list[dict[str, Any]]]:
        """Who has memories, and how many: `{"users": [{"id", "memories"}], "agents", "runs"}`.

        Counts the memories of `scope` (None or empty: of all) that are not expired. The most
        memories first, then by id; at most MAX_IDS of each kind.
        """
        where = in_scope(scope or {})
        return {
            f"{key.removesuffix('_id')}s": [
                {"id": id_, "memories": count}
                for id_, count in self._store.facet(key, where, MAX_IDS)
            ]
            for key in SCOPE_KEYS
        }

    def history(self, memory_id: str, *, within: Scope | None = None) -> list[dict[str, Any]]:
        """The events of a memory, oldest first; also of a deleted one."""
        rows = self._history.get_history(memory_id, within)
        if not rows:
            self._find(memory_id, within)  # mem0 may have stored it without a history
        return rows

    # ---- writing

    def add(
        self,
        messages: Sequence[Message],
        scope: Scope,
        *,
        metadata: Mapping[str, Any] | None = None,
        infer: bool | None = None,
        expiration_date: str | None = None,
        repeat: Repeat | None = None,
    ) -> Added:
        """Store what is worth remembering in `messages`, or with `infer=False` each of them.

        `infer` is True by default where there is an LLM. Raises LLMNotConfigured for
        `infer=True` without one, TooManyRequests, and the failures of providers.
        """
        if infer is None:
            infer = self._memory.llm is not None
        if infer and self._memory.llm is None:
            raise LLMNotConfigured

        def work() -> str:
            new = _New(messages, scope, metadata or {}, expiration_date, repeat)
            if not infer:
                return self._store_as_given(new)
            with self._thinking.taken():
                return self._infer(new)

        if repeat is None:
            return Added(**json.loads(work()))
        answer = once(self._history, self._journal.process, repeat, scope, work)
        return Added(**json.loads(answer))

    def update(
        self,
        memory_id: str,
        *,
        within: Scope | None = None,
        text: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Give a memory another text, metadata (merged by key) or expiration date (None: none).

        Only another text is embedded again. Returns the memory as it now is.
        """
        vector: Vector | None = None
        while True:
            if text is not None and text != self._find(memory_id, within).payload.get("data"):
                vector = vector or self._memory.embed([text], "update")[0]
            with self._writing.shared(), self._changing[memory_id]:
                old = self._find(memory_id, within).payload
                if vector is None and text not in (None, old.get("data")):
                    continue  # another writer changed the text: it has to be embedded after all
                new = changed_payload(old, text, changes or {})
                self._write(
                    [history_row("UPDATE", memory_id, old, new)],
                    points={memory_id: (vector, new)},
                )
                return to_memory(memory_id, new)

    def delete(self, memory_id: str, *, within: Scope | None = None) -> None:
        with self._writing.shared(), self._changing[memory_id]:
            old = self._find(memory_id, within).payload
            row = history_row("DELETE", memory_id, old, None)
            self._write([row], deleted=[memory_id])

    def delete_all(self, scope: Scope, *, purge: bool = False) -> int:
        """Delete the memories of a scope, and its conversations; how many memories there were.

        `purge` erases their texts from the history too, also of ones deleted before.
        """
        if not scope:
            raise ValueError("a scope is needed: an empty one is everybody's")
        with self._writing.exclusive():
            if purge:  # so that no earlier intent keeps a text
                self._journal.settle(self._store)
                self._journal.flushed(self._store.flush)
            gone = [*self._store.every(in_scope(scope, show_expired=True), page=LISTED_AT_ONCE)]
            rows = [history_row("DELETE", record.id, record.payload, None) for record in gone]
            if purge:
                rows = [row | {"old_memory": None} for row in rows]
            ids = [record.id for record in gone]
            with self._listings.deleting(scope):
                self._write(rows, deleted=ids, scope=scope, purge=purge)
        return len(gone)

    def reset(self) -> int:
        """Delete everything, the history too; how many memories there were."""
        with self._writing.exclusive():
            deleted = self._store.count({})
            with self._listings.deleting({}):
                self._write([], scope={})
        return deleted

    def ready(self) -> dict[str, Check]:
        """How each dependency is, by name; asked again at most once a second."""
        return self._readiness()

    def close(self) -> None:
        """Finish the writes at work, and bring everything to the disk."""
        self._caretaker.close()
        with self._writing.exclusive():
            self._journal.flushed(self._store.flush)
            self._journal.close()
            self._store.close()
            self._history.close()

    # ---- inside

    def _unbroken(self, scope: Scope, read: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What `read` gives, all of it or a ServiceBusy: it starts over where a deletion by scope
        came in between before its first part was taken, and breaks off where later."""
        for _ in range(STARTS):
            listing = self._listings.open(scope)
            parts = read()
            first = next(parts)
            if not listing.broken:
                return chain((first,), _while_whole(listing, parts))
        raise ServiceBusy("These memories are being deleted; try again.")

    def _find(self, memory_id: str, within: Scope | None) -> Record:
        record = self._store.get(memory_id)
        if record is None or not is_within(record.payload, within or {}):
            raise MemoryNotFound
        return record

    def _infer(self, new: _New) -> str:
        """What the LLM finds; the answer as JSON of an Added."""
        draft = self._memory.draft(
            new.messages,
            new.scope,
            metadata=dict(new.metadata),
            expiration_date=new.expiration_date,
        )
        with self._inferring[json.dumps(new.scope, sort_keys=True)]:
            points = self._unknown(draft.points, new.scope)
            return self._store_new(points, new.repeat, draft.failed, draft.messages)

    def _store_as_given(self, new: _New) -> str:
        """One memory for each message, except what the system said, as mem0 has it."""
        said = [message for message in new.messages if message["role"] != "system"]
        vectors = self._memory.embed([message["content"] for message in said], "add")
        payloads = [
            new_payload(
                message["content"],
                new.scope,
                new.metadata,
                role=message["role"],
                actor_id=message.get("name"),
                expiration_date=new.expiration_date,
            )
            for message in said
        ]
        points = {new_id(): point for point in zip(vectors, payloads, strict=True)}
        return self._store_new(points, new.repeat)

    def _store_new(
        self, points: Points, repeat: Repeat | None, failed: int = 0, said: Said = ()
    ) -> str:
        stored = [
            {"id": id_, "memory": payload["data"], "event": "ADD"}
            for id_, (_, payload) in points.items()
        ]
        answer = json.dumps({"stored": stored, "failed": failed})
        asked = repeat and (repeat.caller, repeat.key)
        if points:
            rows = [history_row("ADD", id_, None, payload) for id_, (_, payload) in points.items()]
            with self._writing.shared():
                self._write(
                    rows, points=dict(points), repeat=asked, answer=repeat and answer, said=said
                )
            return answer
        if asked:
            self._history.answer(*asked, answer)
        for messages, session_scope in said:
            self._history.save_messages(messages, session_scope)
        return answer

    def _unknown(self, points: Points, scope: Scope) -> Points:
        """Those whose text the scope does not hold yet: another request may have been faster."""
        hashes = [payload["hash"] for _, payload in points.values()]
        if not hashes:
            return points
        same = {"should": [{"key": "hash", "match": {"value": hash_}} for hash_ in hashes]}
        known = {r.payload["hash"] for r in self._store.every(in_scope(scope, extra=same))}
        return {id_: point for id_, point in points.items() if point[1]["hash"] not in known}

    def _write(self, rows: list[Payload], **what: Any) -> None:
        embeds = any(vector for vector, _ in what.get("points", {}).values())
        embedder = self._memory.embedding_model.info if embeds else None
        self._journal.write(self._store, Intent(rows, embedder=embedder, **what))


def _while_whole(listing: Listing, parts: Iterator[T]) -> Iterator[T]:
    for part in parts:
        if listing.broken:
            raise ServiceBusy("These memories were deleted while they were read.")
        yield part


def _page(chunk: Chunk[Record], total: int | None) -> Page:
    memories = [to_memory(record.id, record.payload) for record in chunk.items]
    return Page(memories, total, chunk.cursor.encode() if chunk.cursor else None)


def _search_result(result: Ranked, explain: bool) -> dict[str, Any]:
    memory = to_memory(result.record.id, result.record.payload) | {"score": result.score}
    if explain:
        memory |= {"similarity": result.similarity, "keyword": result.keyword}
    return memory
