"""The nine operations. Every write goes through here: its lock, its points, its history."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from app.errors import LLMNotConfigured, MemoryNotFound, ServiceBusy, ServiceError
from app.memory.engine import Memory
from app.memory.filters import Filter, corpus_of, in_scope
from app.memory.history import History, Said
from app.memory.intents import Part
from app.memory.journal import Journal
from app.memory.listings import Listing, Listings
from app.memory.locks import KeyedLock, ScopeLock
from app.memory.maintenance import Maintenance
from app.memory.payloads import (
    Payload,
    changed_payload,
    history_row,
    is_expired,
    new_id,
    new_payload,
    scope_of,
    to_memory,
)
from app.memory.places import Places
from app.memory.ranking import Ranked, Record
from app.memory.readiness import Check
from app.memory.repeats import Repeat, once
from app.memory.stores.base import Cursor, Vector, VectorStore
from app.memory.writes import Deletion, Write
from app.scopes import SCOPE_KEYS, Scope, is_within

MAX_IDS = 1000  # of users, agents and runs each, that are counted
PART, PART_CHARACTERS = 1000, 2_000_000  # of what is to be deleted: as much as a row should hold
LOG_IS_READ = (
    "A reader of history.db still needs its write-ahead log, which has the texts; it is emptied "
    "as soon as that reader lets go."
)

STARTS = 5  # of a listing that meets deletions

T = TypeVar("T")

Message = Mapping[str, str]
Points = Mapping[str, tuple[Vector, Payload]]


@dataclass(frozen=True)
class Added:
    """What an add stored, in order, and how many facts it could not."""

    stored: list[dict[str, str]]
    failed: int = 0

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Added":
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Deleted:
    """What a deletion took."""

    memories: int
    left: list[dict[str, str]]
    """After a purge: `where` the texts may still stand, and in `detail` until when."""


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

    Scopes, ids and metadata come validated. `within` is what the caller may see (empty:
    everything): a memory outside of it is not found, like one that never was. Beside what is
    named below, every operation may raise VectorStoreUnavailable or HistoryUnavailable.
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
        self.maintenance = Maintenance(journal, store, history, flush_seconds)
        self._memory = memory
        self._store = store
        self._history = history
        self._scopes = ScopeLock()
        self._changing = KeyedLock()  # by memory id
        self._inferring = KeyedLock()  # by scope
        self._thinking = Places(llm_places)
        self._listings = Listings()

    # ---- reading

    def get(self, memory_id: str, *, within: Scope, show_expired: bool = False) -> dict[str, Any]:
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
                memories = [to_memory(record.id, record.payload) for record in chunk.items]
                cursor = chunk.cursor.encode() if chunk.cursor else None
                yield Page(memories, total, cursor)

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

    def scopes(self, scope: Scope) -> dict[str, list[dict[str, Any]]]:
        """Who has memories, and how many: `{"users": [{"id", "memories"}], "agents", "runs"}`.

        Counts the memories of `scope` (empty: of all) that are not expired. The most
        memories first, then by id; at most MAX_IDS of each kind.
        """
        where = in_scope(scope)
        return {
            f"{key.removesuffix('_id')}s": [
                {"id": id_, "memories": count}
                for id_, count in self._store.facet(key, where, MAX_IDS)
            ]
            for key in SCOPE_KEYS
        }

    def history(self, memory_id: str, *, within: Scope) -> list[dict[str, Any]]:
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

        def work() -> Added:
            new = _New(messages, scope, metadata or {}, expiration_date, repeat)
            if not infer:
                return self._store_as_given(new)
            with self._thinking.taken():
                return self._infer(new)

        if repeat is None:
            return work()
        answer = once(
            self._journal.answers,
            self._journal.process,
            repeat,
            scope,
            work=lambda: work().to_json(),
            settle=lambda: self._journal.clear_key(self._store, (repeat.caller, repeat.key)),
        )
        return Added.from_json(answer)

    def update(
        self,
        memory_id: str,
        *,
        within: Scope,
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
            with self._alone_with(memory_id, within) as old:
                if vector is None and text not in (None, old.get("data")):
                    continue  # another writer changed the text: it has to be embedded after all
                new = changed_payload(old, text, changes or {})
                rows = [history_row("UPDATE", memory_id, old, new)]
                embedder = self._memory.embedding_model.info if vector else None
                write = Write(rows, points={memory_id: (vector, new)}, embedder=embedder)
                self._journal.write(self._store, write)
                return to_memory(memory_id, new)

    def delete(self, memory_id: str, *, within: Scope) -> None:
        with self._alone_with(memory_id, within) as old:
            row = history_row("DELETE", memory_id, old, None)
            self._journal.write(self._store, Write([row], deleted=[memory_id]))

    def delete_all(self, scope: Scope, *, purge: bool = False) -> Deleted:
        """Delete the memories of a scope, and its conversations.

        `purge` erases their texts from the history too, also of ones deleted before.
        """
        if not scope:
            raise ValueError("a scope is needed: an empty one is everybody's")
        with self._scopes.exclusive(scope):
            self._journal.clear_way(self._store, scope=scope, whole=True)
            if purge:  # so that no earlier intent keeps a text
                self._journal.flushed(self._store.flush)
            ids: list[str] = []
            parts = self._parts(scope, purge, ids)
            self._delete(Deletion(scope, purge), parts)
            return Deleted(len(ids), self._left() if purge else [])

    def reset(self) -> int:
        """Delete everything, the history too; how many memories there were."""
        with self._scopes.exclusive({}):
            self._journal.clear_way(self._store, scope={}, whole=True)
            deleted = self._store.count({})
            self._delete(Deletion({}), [])
            self._journal.database.empty_log()
        return deleted

    def ready(self) -> dict[str, Check]:
        """How each dependency is, by name; asked again at most once a second."""
        return self._readiness()

    def close(self) -> None:
        """Finish the writes at work, and bring everything to the disk."""
        self.maintenance.close()
        with suppress(ServiceBusy), self._scopes.exclusive({}):
            pass  # what is at work still is settled at the next start
        with suppress(ServiceError):
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

    def _find(self, memory_id: str, within: Scope) -> Record:
        record = self._store.get(memory_id)
        if record is None or not is_within(record.payload, within):
            raise MemoryNotFound
        return record

    @contextmanager
    def _alone_with(self, memory_id: str, within: Scope) -> Iterator[Payload]:
        """The payload of a memory that nobody else changes meanwhile, and of which nothing is
        unsure."""

        def scope() -> Scope:
            return scope_of(self._find(memory_id, within).payload)

        with self._scopes.shared(scope), self._changing[memory_id]:
            self._journal.clear_way(self._store, [memory_id])
            yield self._find(memory_id, within).payload

    def _infer(self, new: _New) -> Added:
        """What the LLM finds."""
        draft = self._memory.draft(
            new.messages,
            new.scope,
            metadata=dict(new.metadata),
            expiration_date=new.expiration_date,
        )
        with self._inferring[json.dumps(new.scope, sort_keys=True)]:
            points = self._unknown(draft.points, new.scope)
            return self._store_new(points, new, draft.failed, draft.messages)

    def _store_as_given(self, new: _New) -> Added:
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
        return self._store_new(points, new)

    def _store_new(self, points: Points, new: _New, failed: int = 0, said: Said = ()) -> Added:
        added = Added(
            [
                {"id": id_, "memory": payload["data"], "event": "ADD"}
                for id_, (_, payload) in points.items()
            ],
            failed,
        )
        asked = (new.repeat.caller, new.repeat.key) if new.repeat else None
        answer = added.to_json() if asked else None
        if points:
            write = Write(
                [history_row("ADD", id_, None, payload) for id_, (_, payload) in points.items()],
                points=dict(points),
                embedder=self._memory.embedding_model.info,
                repeat=asked,
                answer=answer,
                said=said,
            )
            with self._scopes.shared(lambda: new.scope):
                self._journal.clear_way(self._store, scope=new.scope)
                self._journal.write(self._store, write)
            return added
        if asked and answer:
            self._journal.answers.answer(*asked, answer)
        for messages, session_scope in said:
            self._history.save_messages(messages, session_scope)
        return added

    def _unknown(self, points: Points, scope: Scope) -> Points:
        """Those whose text the scope does not hold yet: another request may have been faster."""
        hashes = [payload["hash"] for _, payload in points.values()]
        if not hashes:
            return points
        same = {"should": [{"key": "hash", "match": {"value": hash_}} for hash_ in hashes]}
        known = {r.payload["hash"] for r in self._store.every(in_scope(scope, extra=same))}
        return {id_: point for id_, point in points.items() if point[1]["hash"] not in known}

    def _delete(self, deletion: Deletion, parts: Iterable[Part]) -> None:
        self._journal.delete(
            self._store,
            deletion,
            parts,
            deleting=lambda: self._listings.deleting(deletion.scope),
        )

    def _parts(self, scope: Scope, purge: bool, ids: list[str]) -> Iterator[Part]:
        """The memories of a scope as parts of their deletion; adds every id to `ids`."""
        part, size = Part([], []), 0
        for record in self._store.every(in_scope(scope, show_expired=True)):
            row = history_row("DELETE", record.id, record.payload, None)
            if purge:
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

    def _left(self) -> list[dict[str, str]]:
        """Where purged texts may still stand, and until when."""
        left = [{"where": "vector_store", "detail": self._store.keeps_deleted}]
        if not self._journal.database.empty_log():
            left.append({"where": "history", "detail": LOG_IS_READ})
        return left


def _while_whole(listing: Listing, parts: Iterator[T]) -> Iterator[T]:
    for part in parts:
        if listing.broken:
            raise ServiceBusy("These memories were deleted while they were read.")
        yield part


def _search_result(result: Ranked, explain: bool) -> dict[str, Any]:
    memory = to_memory(result.record.id, result.record.payload) | {"score": result.score}
    if explain:
        memory |= {"similarity": result.similarity, "keyword": result.keyword}
    return memory
