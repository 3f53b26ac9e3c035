"""What mem0's pipeline would write, kept in memory until the service stores it as one.

mem0 writes in the middle of `add`, piece by piece, and goes on after failures. On these
parts it reads the real store and history, and what it writes can be stored whole or not at
all, without a lock held while a model thinks.
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
    """The writes of one run: points to store, messages to remember, facts that were lost."""

    def __init__(
        self, store: VectorStore, history: ReadsMessages, embedder: Embedder, scope: Scope
    ) -> None:
        """`scope` stands in the place of the one that mem0 was given."""
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
        """Raises what went wrong where mem0 went on: not one fact of a batch was embedded."""
        if self.embedder.failure:
            raise self.embedder.failure
        if self.embedder.refused and not self.points:
            raise self.embedder.refused[0]


class _DraftStore(VectorStoreBase):
    """Reads from the store; keeps what is inserted."""

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
            payload.pop("text_lemmatized", None)  # without spaCy it is the text once more
            own = {key: value for key, value in payload.items() if key not in SCOPE_KEYS}
            self._points[point_id] = (vector, {**own, **self._scope})

    def _unused(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError("mem0's pipeline did not call this at 2.2.1")

    get = list = update = delete = reset = _unused
    create_col = list_cols = delete_col = col_info = _unused


class _DraftHistory:
    """Reads from the history; keeps the messages. Rows are the service's to write."""

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
        """The service writes the rows, with their scope, when it stores the points."""


class _DraftEmbedder:
    """Remembers the failures that mem0 swallows.

    When a batch fails, mem0 embeds its facts one by one and drops those that fail again. That
    helps against one text that is refused; against a service that is down or slow it would
    only multiply the wait, so then nothing more is asked.
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
