"""Holds the writes of mem0's pipeline in memory, until the service stores them in one write.

mem0's `add` writes piece by piece, and goes on after failures. With a draft it reads the real store
and history, but its writes are kept here. So they are stored as a whole or not at all, and no lock
is held while the LLM is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mem0.vector_stores.base import VectorStoreBase

from app.embeddings import EmbedderInfo, Vector
from app.errors import OF_ONE_TEXT, ServiceError
from app.providers.base import Embedder
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.messages import session_key
from app.storage.payloads import Payload
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

Messages = Sequence[Mapping[str, Any]]


class ReadsMessages(Protocol):
    def get_last_messages(self, session_scope: str, limit: int = 10) -> list[dict[str, Any]]: ...


class Draft:
    """The writes of one run of mem0: points and messages to store, and facts that were lost."""

    def __init__(
        self, store: VectorStore, history: ReadsMessages, embedder: Embedder, scope: Scope
    ) -> None:
        """`scope` replaces the scope that mem0 was given."""
        self.points: dict[str, tuple[Vector, Payload]] = {}
        self.messages: list[tuple[Messages, str]] = []
        self.store = _DraftStore(store, self.points, scope)
        self.history = _DraftHistory(history, self.messages, session_key(scope))
        self.embedder = _DraftEmbedder(embedder)

    @property
    def failed(self) -> int:
        """How many facts the embedder refused."""
        return len(self.embedder.refused)

    def check(self) -> None:
        """Raises the embedder's failure, which mem0 ignores, where no fact could be embedded."""
        if self.embedder.failure:
            raise self.embedder.failure
        if self.embedder.refused and not self.points:
            raise self.embedder.refused[0]


class _DraftStore(VectorStoreBase):
    """mem0's vector store: reads the real store, and keeps inserted points in the draft."""

    def __init__(
        self, store: VectorStore, points: dict[str, tuple[Vector, Payload]], scope: Scope
    ) -> None:
        self._store = store
        self._points = points
        self._scope = scope

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Any = None
    ) -> Sequence[Record]:
        return self._store.nearest(vectors, top_k, self._scope)

    def insert(
        self, vectors: Sequence[Vector], payloads: Sequence[Payload], ids: Sequence[str]
    ) -> None:
        for point_id, vector, payload in zip(ids, vectors, payloads, strict=True):
            payload.pop("text_lemmatized", None)  # without spaCy it is a copy of the text
            own = {key: value for key, value in payload.items() if key not in SCOPE_KEYS}
            self._points[point_id] = (vector, {**own, **self._scope})

    def _unused(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError("mem0's pipeline did not call this at 2.2.1")

    get = list = update = delete = reset = _unused
    create_col = list_cols = delete_col = col_info = _unused


class _DraftHistory:
    """mem0's history: reads the real one, and keeps messages in the draft."""

    def __init__(
        self, history: ReadsMessages, messages: list[tuple[Messages, str]], session: str
    ) -> None:
        self._messages = messages
        self._history = history
        self._session = session

    def get_last_messages(self, session_scope: str, limit: int = 10) -> list[dict[str, Any]]:
        return self._history.get_last_messages(self._session, limit)

    def save_messages(self, messages: Messages, session_scope: str) -> None:
        self._messages.append((messages, self._session))

    def batch_add_history(self, records: Messages) -> None:
        """Does nothing: the service writes these rows when it stores the points."""


class _DraftEmbedder:
    """mem0's embedder: remembers the failures that mem0 swallows.

    When a batch fails, mem0 embeds its facts one by one and drops those that fail again. That helps
    where one text is refused. Where the provider is down or slow it would only multiply the wait,
    so after such a failure nothing more is asked.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.failure: ServiceError | None = None
        self.refused: list[ServiceError] = []

    @property
    def info(self) -> EmbedderInfo:
        return self._embedder.info

    def embed(self, text: str, memory_action: str | None = None) -> Vector:
        if self.failure:
            raise self.failure
        try:
            return self._embedder.embed(text, memory_action)
        except ServiceError as failure:
            if type(failure) in OF_ONE_TEXT:
                self.refused.append(failure)
            else:
                self.failure = failure
            raise

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[Vector]:
        try:
            return self._embedder.embed_batch(texts, memory_action)
        except ServiceError as failure:
            if type(failure) not in OF_ONE_TEXT:  # a refused key refuses every text
                self.failure = failure
            raise
