"""The operations that read."""

from collections.abc import Iterator
from typing import Any

from app.errors import MemoryNotFound
from app.memory.answers import Entity, Found, Page
from app.memory.choosing import Choosing
from app.memory.requests import GetAllRequest, GetRequest, HistoryRequest, SearchRequest
from app.memory.search import Search
from app.memory.totals import Totals
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS
from app.storage.history.rows import History
from app.storage.listings import Listings
from app.storage.payloads import is_expired, to_memory
from app.storage.vectors.filters import corpus_of, created_between, in_scope, is_empty
from app.storage.vectors.paging import PAGE
from app.storage.vectors.ranking import Ranked, Record
from app.storage.vectors.store import VectorStore

MAX_IDS = 1000  # of users, agents, apps and runs each, that are counted
MAX_ENTITIES = 1_000_000  # of each kind: a client that deletes them one by one needs all


class Reading:
    """Reads from the vectors and the history; sees what the principal may see."""

    def __init__(
        self,
        store: VectorStore,
        history: History,
        search: Search,
        listings: Listings,
        choosing: Choosing,
        totals: Totals,
    ) -> None:
        self._store = store
        self._history = history
        self._totals = totals
        self._search = search
        self._listings = listings
        self._choosing = choosing

    def find(self, principal: Principal, memory_id: str) -> Record:
        """The memory. Raises MemoryNotFound, also for one that the principal may not see."""
        record = self._store.get(memory_id)
        if record is None or not principal.may_see(record.payload):
            raise MemoryNotFound
        return record

    def get(self, principal: Principal, asked: GetRequest) -> dict[str, Any]:
        record = self.find(principal, asked.memory_id)
        if is_expired(record.payload) and not asked.show_expired:
            raise MemoryNotFound
        return to_memory(record.id, record.payload)

    def listing(
        self, principal: Principal, asked: GetAllRequest, skip_pages: int = 0
    ) -> Iterator[Page]:
        scope = principal.narrowed(asked.scope())
        where = in_scope(scope, show_expired=asked.show_expired, extra=asked.filters)
        where["must"] += self._choosing.conditions(asked, scope)
        is_whole_scope = asked.is_all and is_empty(asked.filters)

        def counted() -> int:
            if is_whole_scope:
                return self._totals.total(scope, show_expired=asked.show_expired)
            return self._store.count(where)

        def read() -> Iterator[Page]:
            after = asked.cursor
            if skip_pages:
                after = self._store.skip(where, skip_pages, asked.limit or PAGE)
            if skip_pages and after is None:
                yield Page([], counted(), None)
                return
            total = None
            for chunk in self._store.chunks(where, asked.limit, after):
                if asked.limit is not None and total is None:
                    all_ = chunk.cursor is None and after is None
                    total = len(chunk.items) if all_ else counted()
                memories = [to_memory(record.id, record.payload) for record in chunk.items]
                yield Page(memories, total, chunk.cursor.encode() if chunk.cursor else None)

        return self._listings.unbroken(scope, read)

    def found(self, principal: Principal, asked: SearchRequest) -> Iterator[Found]:
        scope = principal.narrowed(asked.scope())
        where = in_scope(scope, show_expired=asked.show_expired, extra=asked.filters)
        where["must"] += created_between(asked.since, asked.until)

        def read() -> Iterator[Found]:
            results, degraded = self._search.best(
                asked.query,
                where,
                limit=asked.limit,
                threshold=asked.threshold,
                corpus=corpus_of(scope),
            )
            for part in results:
                yield Found([_search_result(one, asked.explain) for one in part], degraded)

        return self._listings.unbroken(scope, read)

    def scopes(self, principal: Principal) -> dict[str, list[dict[str, Any]]]:
        return {
            f"{key.removesuffix('_id')}s": [
                {"id": id_, "memories": count}
                for id_, count in self._totals.values(
                    key, principal.scope, MAX_IDS, show_expired=False
                )
            ]
            for key in SCOPE_KEYS
        }

    def entities(self, principal: Principal) -> list[Entity]:
        return [
            Entity(key, id_, count)
            for key in SCOPE_KEYS
            for id_, count in self._totals.values(
                key, principal.scope, MAX_ENTITIES, show_expired=True
            )
        ]

    def history(self, principal: Principal, asked: HistoryRequest) -> list[dict[str, Any]]:
        rows = self._history.get_history(asked.memory_id, principal.scope)
        if not rows:
            self.find(principal, asked.memory_id)  # mem0 may have stored it without a history
        return rows


def _search_result(result: Ranked, explain: bool) -> dict[str, Any]:
    memory = to_memory(result.record.id, result.record.payload) | {"score": result.score}
    if explain:
        memory |= {
            "similarity": result.similarity,
            "keyword": result.keyword,
            "neighbours": result.neighbours,
            "question": result.is_question,
        }
    return memory
