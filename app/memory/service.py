"""The nine operations. Every write goes through here: its lock, its points, its history."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import LLMNotConfigured, MemoryNotFound
from app.memory.engine import Memory
from app.memory.filters import Filter, in_scope
from app.memory.history import History
from app.memory.locks import KeyedLock, SharedLock
from app.memory.payloads import (
    Payload,
    Scope,
    changed_payload,
    history_row,
    is_expired,
    new_id,
    new_payload,
    to_memory,
)
from app.memory.ranking import Ranked, Record
from app.memory.readiness import Check
from app.memory.stores.base import Cursor, Vector, VectorStore

DELETE_BATCH = 1000

Message = Mapping[str, str]
Points = Mapping[str, tuple[Vector, Payload]]


@dataclass(frozen=True)
class Added:
    """What an add stored, in order, and how many facts it could not."""

    stored: list[dict[str, str]]
    failed: int = 0


class MemoryService:
    """What an assistant remembers about its users. Safe for many threads.

    Scopes, ids and metadata come validated. Beside what is named below, every operation may
    raise VectorStoreUnavailable or HistoryUnavailable.
    """

    def __init__(
        self,
        memory: Memory,
        store: VectorStore,
        history: History,
        readiness: Callable[[], dict[str, Check]] = dict,
    ) -> None:
        """`store` and `history` are the ones that `memory` reads from."""
        self._readiness = readiness
        self._memory = memory
        self._store = store
        self._history = history
        self._writing = SharedLock()  # exclusive for what deletes by scope: scopes overlap
        self._changing = KeyedLock()  # by memory id

    # ---- reading

    def get(self, memory_id: str, *, show_expired: bool = False) -> dict[str, Any]:
        """Raises MemoryNotFound, also for an expired memory unless `show_expired`."""
        record = self._find(memory_id)
        if is_expired(record.payload) and not show_expired:
            raise MemoryNotFound
        return to_memory(record.id, record.payload)

    def get_all(
        self,
        scope: Scope,
        *,
        filters: Filter | None = None,
        limit: int | None = None,
        after: Cursor | None = None,
        show_expired: bool = False,
    ) -> dict[str, Any]:
        """Newest first; without `limit` everything. No scope means all users."""
        where = in_scope(scope, show_expired=show_expired, extra=filters)
        records, cursor = self._memory.get_all(where, limit=limit, after=after)
        return {
            "results": [to_memory(record.id, record.payload) for record in records],
            "total": self._store.count(where),
            "next_cursor": cursor and cursor.encode(),
        }

    def search(
        self,
        query: str,
        scope: Scope,
        *,
        filters: Filter | None = None,
        limit: int = 10,
        threshold: float | None = None,
        explain: bool = False,
        show_expired: bool = False,
    ) -> list[dict[str, Any]]:
        """Best first. No scope means all users."""
        where = in_scope(scope, show_expired=show_expired, extra=filters)
        found = self._memory.search(query, where, limit=limit, threshold=threshold)
        return [_search_result(result, explain) for result in found]

    def history(self, memory_id: str) -> list[dict[str, Any]]:
        """The events of a memory, oldest first; also of a deleted one."""
        rows = self._history.get_history(memory_id)
        if not rows:
            self._find(memory_id)  # mem0 may have stored it without a history
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
    ) -> Added:
        """Store what is worth remembering in `messages`, or with `infer=False` each of them.

        `infer` is True by default where there is an LLM. Raises LLMNotConfigured for
        `infer=True` without one, and the failures of providers.
        """
        if infer is None:
            infer = self._memory.llm is not None
        if not infer:
            points = self._as_given(messages, scope, metadata or {}, expiration_date)
            return Added(self._store_new(points))
        if self._memory.llm is None:
            raise LLMNotConfigured
        draft = self._memory.draft(
            messages, scope, metadata=dict(metadata or {}), expiration_date=expiration_date
        )
        stored = self._store_new(draft.points)
        for said, session_scope in draft.messages:
            self._history.save_messages(said, session_scope)
        return Added(stored, draft.failed)

    def update(
        self, memory_id: str, *, text: str | None = None, changes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Give a memory another text, metadata (merged by key) or expiration date (None: none).

        Only another text is embedded again. Returns the memory as it now is.
        """
        found = self._find(memory_id)
        if text == found.payload.get("data"):
            text = None
        vector = None if text is None else self._memory.embed([text], "update")[0]
        with self._writing.shared(), self._changing[memory_id]:
            old = self._find(memory_id).payload
            new = changed_payload(old, text, changes or {})
            if vector is None:
                self._store.overwrite_payload(memory_id, new)
            else:
                self._store.put({memory_id: (vector, new)})
            self._history.batch_add_history([history_row("UPDATE", memory_id, old, new)])
        return to_memory(memory_id, new)

    def delete(self, memory_id: str) -> None:
        with self._writing.shared(), self._changing[memory_id]:
            old = self._find(memory_id).payload
            self._store.delete_many([memory_id])
            self._history.batch_add_history([history_row("DELETE", memory_id, old, None)])

    def delete_all(self, scope: Scope, *, purge: bool = False) -> int:
        """Delete the memories of a scope, and its conversations; how many memories there were.

        `purge` erases their texts from the history too, also of ones deleted before.
        """
        if not scope:
            raise ValueError("a scope is needed: an empty one is everybody's")
        with self._writing.exclusive():
            deleted = self._delete_where(in_scope(scope, show_expired=True))
            self._history.forget_messages(scope)
            if purge:
                self._history.purge(scope)
        return deleted

    def reset(self) -> int:
        """Delete everything, the history too; how many memories there were."""
        with self._writing.exclusive():
            deleted = self._store.count({})
            self._store.clear()
            self._history.reset()
        return deleted

    def ready(self) -> dict[str, Check]:
        """How each dependency is, by name; asked again at most once a second."""
        return self._readiness()

    def close(self) -> None:
        """Finish the writes at work, and bring everything to the disk."""
        with self._writing.exclusive():
            self._store.flush()
            self._store.close()
            self._history.close()

    # ---- inside

    def _find(self, memory_id: str) -> Record:
        record = self._store.get(memory_id)
        if record is None:
            raise MemoryNotFound
        return record

    def _as_given(
        self,
        messages: Sequence[Message],
        scope: Scope,
        metadata: Mapping[str, Any],
        expiration_date: str | None,
    ) -> Points:
        """One memory for each message, except what the system said, as mem0 has it."""
        said = [message for message in messages if message["role"] != "system"]
        texts = [message["content"] for message in said]
        vectors = self._memory.embed(texts, "add")
        payloads = [
            new_payload(
                message["content"],
                scope,
                metadata,
                role=message["role"],
                actor_id=message.get("name"),
                expiration_date=expiration_date,
            )
            for message in said
        ]
        return {new_id(): point for point in zip(vectors, payloads, strict=True)}

    def _store_new(self, points: Points) -> list[dict[str, str]]:
        with self._writing.shared():
            self._store.put(points)
            self._history.batch_add_history(
                [history_row("ADD", id_, None, payload) for id_, (_, payload) in points.items()]
            )
        return [
            {"id": id_, "memory": payload["data"], "event": "ADD"}
            for id_, (_, payload) in points.items()
        ]

    def _delete_where(self, where: Filter) -> int:
        gone = [*self._store.every(where)]
        for start in range(0, len(gone), DELETE_BATCH):
            self._store.delete_many([record.id for record in gone[start : start + DELETE_BATCH]])
        self._history.batch_add_history(
            [history_row("DELETE", record.id, record.payload, None) for record in gone]
        )
        return len(gone)


def _search_result(result: Ranked, explain: bool) -> dict[str, Any]:
    memory = to_memory(result.record.id, result.record.payload) | {"score": result.score}
    if explain:
        memory |= {"similarity": result.similarity, "keyword": result.keyword}
    return memory
