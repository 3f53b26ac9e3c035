"""mem0's Memory on parts that are given to it, with reading of our own."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import mem0
from mem0.utils import spacy_models
from mem0.vector_stores.base import VectorStoreBase

from app.memory.filters import Filter
from app.memory.history import History
from app.memory.payloads import Payload, Scope
from app.memory.ranking import Ranked, Record, candidates, rank
from app.memory.stores.base import Cursor, Vector, VectorStore

# Where spaCy happens to be installed without its model, mem0 would run pip inside a request.
# Our keyword search needs neither.
spacy_models._load_failed_full = True
spacy_models._load_failed_lemma = True


class Embedder(Protocol):
    """Text to vectors. `memory_action` is mem0's: add, search or update."""

    name: str
    """Provider and model; vectors of different names cannot be compared."""
    dimensions: int

    def embed(self, text: str, memory_action: str | None = None) -> Vector: ...

    def embed_batch(
        self, texts: list[str], memory_action: str | None = None
    ) -> Sequence[Vector]: ...


class LLM(Protocol):
    def generate_response(
        self, messages: list[dict[str, str]], response_format: Any = None
    ) -> str: ...


class Memory(mem0.Memory):
    """One collection of memories.

    mem0's own `__init__` is not run: it opens files and network connections by itself.
    Writing is the service's, which holds the locks; this class reads, and drafts.
    """

    def __init__(
        self,
        vector_store: VectorStoreBase,
        history: "History | _DraftHistory",
        embedder: Embedder,
        llm: LLM | None,
        custom_instructions: str | None = None,
    ) -> None:
        self.vector_store = vector_store
        self.db = history
        self.embedding_model = embedder
        self.llm = llm
        self.custom_instructions = custom_instructions
        # What mem0's methods look at besides.
        self.config = SimpleNamespace(
            llm=SimpleNamespace(config={}),
            vector_store=SimpleNamespace(provider="qdrant", config=SimpleNamespace()),
        )
        self.collection_name = "memories"
        self.api_version = "v1.1"
        self.reranker = None
        self._entity_store = None

    def draft(self, messages: Sequence[Mapping[str, str]], scope: Scope, **details: Any) -> "Draft":
        """What mem0's extraction finds in `messages`; nothing is stored.

        Runs mem0's `add` as it is, on a store and a history that keep its writes in memory.
        So no lock is held while the LLM thinks, and what is stored is stored as one.
        """
        draft = Draft(self.vector_store, self.db)
        on_draft = Memory(
            draft.store, draft.history, self.embedding_model, self.llm, self.custom_instructions
        )
        on_draft.add([dict(message) for message in messages], **scope, **details)
        return draft

    def search(
        self,
        query: str,
        where: Filter,
        *,
        limit: int,
        threshold: float | None = None,
    ) -> list[Ranked]:
        """The best `limit` memories for `query` by meaning and by words, see `ranking.rank`."""
        vector = self.embedding_model.embed(query, "search")
        store: VectorStore = self.vector_store
        ranked = rank(*store.hybrid(query, vector, where, candidates(limit)))
        return [found for found in ranked[:limit] if found.score >= (threshold or 0)]

    def get_all(
        self, where: Filter, *, limit: int | None = None, after: Cursor | None = None
    ) -> tuple[list[Record], Cursor | None]:
        """Memories newest first, without `limit` all of them, and the next page's cursor."""
        store: VectorStore = self.vector_store
        if limit is None:
            return [*store.every(where, after)], None
        return store.page(where, limit, after)


class Draft:
    """The writes of one run of mem0's pipeline: points to store and messages to remember."""

    def __init__(self, store: VectorStoreBase, history: "History | _DraftHistory") -> None:
        self.points: dict[str, tuple[Vector, Payload]] = {}
        self.messages: list[tuple[Sequence[Mapping[str, Any]], str]] = []
        self.store = _DraftStore(store, self.points)
        self.history = _DraftHistory(history, self.messages)


class _DraftStore(VectorStoreBase):
    """Reads from the store; keeps what is inserted."""

    def __init__(self, store: VectorStoreBase, points: dict[str, tuple[Vector, Payload]]) -> None:
        self._store = store
        self._points = points

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Scope | None = None
    ) -> list[Record]:
        found: list[Record] = self._store.search(query, vectors, top_k, filters)
        return found

    def insert(
        self, vectors: Sequence[Vector], payloads: Sequence[Payload], ids: Sequence[str]
    ) -> None:
        for point_id, vector, payload in zip(ids, vectors, payloads, strict=True):
            payload.pop("text_lemmatized", None)  # without spaCy it is the text once more
            self._points[point_id] = (vector, payload)

    def _unused(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError("mem0's pipeline did not call this at 2.2.1")

    get = list = update = delete = reset = _unused
    create_col = list_cols = delete_col = col_info = _unused


class _DraftHistory:
    """Reads from the history; keeps the messages. Rows are the service's to write."""

    def __init__(
        self,
        history: "History | _DraftHistory",
        messages: list[tuple[Sequence[Mapping[str, Any]], str]],
    ) -> None:
        self._history = history
        self._messages = messages

    def get_last_messages(self, session_scope: str, limit: int = 10) -> list[dict[str, Any]]:
        return self._history.get_last_messages(session_scope, limit)

    def save_messages(self, messages: Sequence[Mapping[str, Any]], session_scope: str) -> None:
        self._messages.append((messages, session_scope))

    def batch_add_history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """The service writes the rows, with their scope, when it stores the points."""
