"""What an LLM finds worth remembering in messages: mem0's own pipeline, on staged writes."""

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

# Where spaCy happens to be installed without its model, mem0 would run pip inside a request.
# Our keyword search needs neither.
spacy_models._load_failed_full = True
spacy_models._load_failed_lemma = True


_OBSERVED = "\n\n## Observation Date\n"


class FindsFacts(Protocol):
    def find(self, by_mem0: Messages, about: Conversation) -> list[Fact]:
        """As `finder.FactFinder` does it."""


class Extraction:
    """Holds one mem0.Memory; each run is on a copy of it whose store and history are a draft, so
    that nothing of mem0's can write past the journal."""

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
        """What is found in `messages`; nothing is stored. `said_at` is when they were said, where
        that was not now; `details` are more arguments of mem0's `add`, and the draft sees to the
        scope, since mem0 knows no app. Raises what the models' services failed with, also where
        mem0 itself would go on.
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
    """For mem0, which knows no app, needs one id at least, and asks the LLM another way for an
    agent's memories than for a user's."""
    known = {key: value for key, value in scope.items() if key != "app_id"}
    return known or {"run_id": scope["app_id"]}


class _LLM:
    """The LLM of one run as mem0 knows it. mem0 has no other way to another system prompt than
    to be asked what it wants: its request comes in here, and goes out with our prompt."""

    def __init__(self, finder: FindsFacts, about: Conversation, said_at: str | None) -> None:
        self._finder = finder
        self._about = about
        self._said_at = said_at

    def generate_response(self, messages: Messages, response_format: Any = None) -> str:
        """JSON as mem0's own prompt asks for it."""
        if self._said_at:
            messages = [_observed(message, self._said_at) for message in messages]
        return json.dumps({"memory": self._finder.find(messages, self._about)})


def _observed(message: Mapping[str, str], said_at: str) -> Mapping[str, str]:
    """`message` with the day by which mem0's prompt resolves words such as "yesterday". mem0 has
    a place for it, takes today, and gives its `add` no way to say another."""
    before, heading, after = message["content"].rpartition(_OBSERVED)
    if not heading:
        return message
    day, _, rest = after.partition("\n")
    return {**message, "content": f"{before}{heading}{said_at[: len(day)]}\n{rest}"}


def mem0_memory(instructions: str | None = None) -> Any:
    """A mem0.Memory without an LLM, a store, a history and an embedder.

    mem0's own `__init__` is not run: it makes its parts from configurations that admit its own
    providers alone, and opens files and connections. What its `add` looks at is set here.
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
