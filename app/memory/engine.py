"""mem0's Memory on parts that are given to it, with reading of our own."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import mem0
from mem0.exceptions import LLMError
from mem0.utils import spacy_models
from mem0.vector_stores.base import VectorStoreBase

from app.errors import ServiceError
from app.memory.draft import Draft, Embedder, ReadsMessages
from app.memory.filters import Filter
from app.memory.ranking import Ranked, candidates, rank
from app.memory.stores.base import Vector, VectorStore
from app.memory.stores.paging import Chunk, merged, size_of, sliced
from app.scopes import Scope

# Where spaCy happens to be installed without its model, mem0 would run pip inside a request.
# Our keyword search needs neither.
spacy_models._load_failed_full = True
spacy_models._load_failed_lemma = True


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
        corpus: Filter | None = None,
    ) -> Iterator[list[Ranked]]:
        """The best `limit` memories for `query` by meaning and by words, see `ranking.rank`.

        In lists as `merged` makes them, read as they are taken. `corpus` is
        that of `VectorStore.hybrid`.
        """
        [vector] = self.embed([query], "search")
        store: VectorStore = self.vector_store
        hits = store.hybrid(query, vector, where, candidates(limit), corpus=corpus, bare=True)
        best = [found for found in rank(*hits, limit) if found.score >= (threshold or 0)]
        chunks = merged(self._whole(part) for part in sliced(best, store.read_at_once))
        return (chunk.items for chunk in chunks)

    def _whole(self, best: Sequence[Ranked]) -> Chunk[Ranked]:
        store: VectorStore = self.vector_store
        whole = store.whole([found.record for found in best])
        there = [
            Ranked(record, found.similarity, found.keyword)
            for found, record in zip(best, whole, strict=True)
            if record is not None
        ]
        return Chunk(there, sum(size_of(found.record) for found in there))
