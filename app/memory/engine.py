"""mem0's Memory on parts that are given to it, with reading of our own."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import mem0
from mem0.exceptions import LLMError
from mem0.utils import spacy_models
from mem0.vector_stores.base import VectorStoreBase

from app.embeddings import Vector
from app.errors import ServiceError
from app.memory.draft import Draft, ReadsMessages
from app.providers.base import LLM, Embedder
from app.security.scopes import Scope
from app.storage.vectors.base import PAGE, Cursor, VectorStore
from app.storage.vectors.filters import Filter
from app.storage.vectors.ranking import Ranked, Record, candidates, rank

# Where spaCy happens to be installed without its model, mem0 would run pip inside a request.
# Our keyword search needs neither.
spacy_models._load_failed_full = True
spacy_models._load_failed_lemma = True


class Memory(mem0.Memory):
    """One collection of memories.

    mem0's own `__init__` is not run: it opens files and network connections by itself.
    Writing is the service's, which holds the locks; this class reads, and drafts.
    """

    def __init__(
        self,
        vector_store: VectorStoreBase,
        history: ReadsMessages,
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

    def draft(self, messages: Sequence[Mapping[str, str]], scope: Scope, **details: Any) -> Draft:
        """What mem0's extraction finds in `messages`; nothing is stored.

        Runs mem0's `add` as it is on the parts of a Draft. Raises what the models' services
        failed with, also where mem0 itself would go on.
        """
        self._prepare()
        draft = Draft(self.vector_store, self.db, self.embedding_model)
        on_draft = Memory(
            draft.store, draft.history, draft.embedder, self.llm, self.custom_instructions
        )
        try:
            on_draft.add([dict(message) for message in messages], **scope, **details)
        except LLMError as error:
            if isinstance(error.__cause__, ServiceError):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        draft.check()
        return draft

    def embed(self, texts: list[str], action: str) -> list[Vector]:
        """Vectors for the collection, which is made or checked first."""
        self._prepare()
        return self.embedding_model.embed_batch(texts, action)

    def _prepare(self) -> None:
        self.vector_store.prepare(self.embedding_model.info)

    def search(
        self,
        query: str,
        where: Filter,
        *,
        limit: int,
        threshold: float | None = None,
    ) -> list[Ranked]:
        """The best `limit` memories for `query` by meaning and by words, see `ranking.rank`."""
        [vector] = self.embed([query], "search")
        store: VectorStore = self.vector_store
        hits = store.hybrid(query, vector, where, candidates(limit), bare=True)
        best = [found for found in rank(*hits, limit) if found.score >= (threshold or 0)]
        whole = store.whole([found.record for found in best])
        return [
            Ranked(record, found.similarity, found.keyword)
            for found, record in zip(best, whole, strict=True)
            if record is not None
        ]

    def get_all(
        self, where: Filter, limit: int = PAGE, after: Cursor | None = None
    ) -> tuple[list[Record], Cursor | None]:
        """A page of memories, newest first, and the cursor of the next: None at the end."""
        store: VectorStore = self.vector_store
        return store.page(where, limit, after)
