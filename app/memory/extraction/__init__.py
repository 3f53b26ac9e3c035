"""Extraction: mem0's pipeline finds what is worth remembering, and writes it to a draft."""

import copy
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import mem0
from mem0.exceptions import LLMError
from mem0.utils import spacy_models

from app.errors import ServiceError
from app.memory.draft import Draft, ReadsMessages
from app.memory.extraction.answers import Fact
from app.memory.extraction.finder import Conversation
from app.memory.extraction.prompts import Messages
from app.providers.base import Embedder
from app.security.scopes import Scope
from app.storage.vectors.store import VectorStore

# Where spaCy is installed without its model, mem0 would run pip inside a request to get the model.
# Our keyword search does not need spaCy.
spacy_models._load_failed_full = True
spacy_models._load_failed_lemma = True


_OBSERVED = "\n\n## Observation Date\n"


class FindsFacts(Protocol):
    def find(self, by_mem0: Messages, about: Conversation) -> list[Fact]:
        """See `finder.FactFinder`."""


class Extraction:
    """Holds one mem0.Memory. Each run works on a copy of it whose store and history are a draft, so
    that mem0 cannot write past the journal."""

    def __init__(
        self,
        store: VectorStore,
        history: ReadsMessages,
        embedder: Embedder,
        finder: FindsFacts,
        instructions: str | None = None,
    ) -> None:
        self._finder = finder
        self._store = store
        self._history = history
        self._embedder = embedder
        self._mem0 = mem0_memory(instructions)

    def run(
        self,
        messages: Sequence[Mapping[str, str]],
        scope: Scope,
        *,
        said_at: str | None = None,
        **details: Any,
    ) -> Draft:
        """A draft with what is found in `messages`; nothing is stored.

        `said_at` is the time when they were said; None means now. `details` are further arguments
        for mem0's `add`. The draft sets the scope of its points, because mem0 has no app_id. Raises
        the failures of the providers, even those after which mem0 would go on.
        """
        self._store.prepare(self._embedder.info)
        draft = Draft(self._store, self._history, self._embedder, scope)
        on_draft = copy.copy(self._mem0)
        of_agent = "agent_id" in scope and "user_id" not in scope
        on_draft.llm = _LLM(self._finder, Conversation(messages, of_agent), said_at)
        on_draft.vector_store = draft.store
        on_draft.db = draft.history
        on_draft.embedding_model = draft.embedder
        try:
            on_draft.add([dict(message) for message in messages], **_ids(scope), **details)
        except LLMError as error:
            if isinstance(error.__cause__, ServiceError):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        draft.check()
        return draft


def _ids(scope: Scope) -> Scope:
    """The ids of `scope` for mem0, which has no app_id and needs at least one id. It prompts the
    LLM differently for an agent's memories than for a user's."""
    known = {key: value for key, value in scope.items() if key != "app_id"}
    return known or {"run_id": scope["app_id"]}


class _LLM:
    """mem0's LLM in one run. mem0 offers no way to replace its system prompt, so this class takes
    mem0's request and asks the real LLM with our prompt."""

    def __init__(self, finder: FindsFacts, about: Conversation, said_at: str | None) -> None:
        self._finder = finder
        self._about = about
        self._said_at = said_at

    def generate_response(self, messages: Messages, response_format: Any = None) -> str:
        """The LLM's answer, in the JSON that mem0 expects."""
        if self._said_at:
            messages = [_observed(message, self._said_at) for message in messages]
        return json.dumps({"memory": self._finder.find(messages, self._about)})


def _observed(message: Mapping[str, str], said_at: str) -> Mapping[str, str]:
    """`message` with the day of `said_at` as its observation date, by which the LLM resolves words
    such as "yesterday". mem0 always sets today; its `add` takes no other date."""
    before, heading, after = message["content"].rpartition(_OBSERVED)
    if not heading:
        return message
    day, _, rest = after.partition("\n")
    return {**message, "content": f"{before}{heading}{said_at[: len(day)]}\n{rest}"}


def mem0_memory(instructions: str | None = None) -> Any:
    """A mem0.Memory without an LLM, a store, a history and an embedder.

    mem0's `__init__` is not called: it takes only its own providers, and opens files and
    connections. All attributes that mem0's `add` reads are set here.
    """
    memory = object.__new__(mem0.Memory)
    memory.custom_instructions = instructions
    memory.config = SimpleNamespace(
        llm=SimpleNamespace(config={}),
        vector_store=SimpleNamespace(provider="qdrant", config=SimpleNamespace()),
    )
    memory.collection_name = "memories"
    memory.api_version = "v1.1"
    memory.reranker = None
    memory._entity_store = None
    return memory
