"""mem0's pipeline on our parts, and every name of mem0 2.2.1 that we rely on."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import mem0
import pytest
from mem0.configs.prompts import ADDITIVE_EXTRACTION_PROMPT
from mem0.memory import main as mem0_main
from mem0.memory.storage import SQLiteManager
from mem0.utils import spacy_models
from mem0.vector_stores.base import VectorStoreBase

from app.embeddings import EmbedderInfo
from app.memory.answers import Added, Deleted
from app.memory.extraction import Extraction, mem0_memory
from app.memory.extraction.answers import Fact
from app.memory.extraction.finder import Conversation
from app.memory.requests import (
    AddRequest,
    DeleteAllRequest,
    DeleteRequest,
    GetAllRequest,
    GetRequest,
    HistoryRequest,
    SearchRequest,
    UpdateRequest,
)
from app.memory.service import MemoryService
from app.memory.validation import Request, validated
from app.security.principal import ADMIN, Principal
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.messages import Messages, session_key
from app.storage.history.rows import History
from app.storage.history.sqlite import SQLite
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.payloads import RESERVED_KEYS, new_payload
from app.storage.vectors.edge import EdgeStore


class WordEmbedder:
    """Texts that share words are near: each word adds to one of 16 numbers."""

    info = EmbedderInfo("test/words", 16)
    zero = 0.0

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return self.embed_batch([text])[0]

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        self.calls.append(list(texts))
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.01] * self.info.dimensions
        for word in text.lower().split():
            digest = hashlib.sha256(word.encode()).digest()
            vector[digest[0] % self.info.dimensions] += 1
        return vector


class ScriptedFinder:
    """Finds the facts it was given, and remembers what it was asked."""

    def __init__(self, *facts: str) -> None:
        self.facts = facts
        self.asked: list[Sequence[Mapping[str, str]]] = []

    def find(self, by_mem0: Sequence[Mapping[str, str]], about: Conversation) -> list[Fact]:
        self.asked.append(by_mem0)
        return [{"text": fact} for fact in self.facts]


R = TypeVar("R", bound=Request)


class Asking:
    """The operations of a service by one principal, by the fields of their requests."""

    def __init__(self, service: MemoryService, principal: Principal = ADMIN) -> None:
        self.service = service
        self.principal = principal
        self.close = service.close

    def _asked(self, model: type[R], **fields: Any) -> R:
        given = {name: value for name, value in fields.items() if value is not None}
        return validated(model, given, self.principal)

    def add(self, messages: Any, scope: Scope, **fields: Any) -> Added:
        asked = self._asked(AddRequest, messages=messages, **scope, **fields)
        return self.service.add(self.principal, asked)

    def get(self, memory_id: str, **fields: Any) -> dict[str, Any]:
        asked = self._asked(GetRequest, memory_id=memory_id, **fields)
        return self.service.get(self.principal, asked)

    def get_all(self, scope: Scope, **fields: Any) -> dict[str, Any]:
        asked = self._asked(GetAllRequest, **scope, **fields)
        pages = [*self.service.listing(self.principal, asked)]
        return {
            "results": [memory for page in pages for memory in page.memories],
            "total": pages[0].total,
            "next_cursor": pages[-1].cursor,
        }

    def search(self, query: str, scope: Scope, **fields: Any) -> list[dict[str, Any]]:
        asked = self._asked(SearchRequest, query=query, **scope, **fields)
        found = self.service.found(self.principal, asked)
        return [result for part in found for result in part.memories]

    def scopes(self) -> dict[str, list[dict[str, Any]]]:
        return self.service.scopes(self.principal)

    def history(self, memory_id: str) -> list[dict[str, Any]]:
        asked = self._asked(HistoryRequest, memory_id=memory_id)
        return self.service.history(self.principal, asked)

    def update(self, memory_id: str, **fields: Any) -> dict[str, Any]:
        asked = self._asked(UpdateRequest, memory_id=memory_id, **fields)
        return self.service.update(self.principal, asked)

    def delete(self, memory_id: str) -> None:
        self.service.delete(self.principal, self._asked(DeleteRequest, memory_id=memory_id))

    def delete_all(self, scope: Scope, **fields: Any) -> Deleted:
        asked = self._asked(DeleteAllRequest, **scope, **fields)
        return self.service.delete_all(self.principal, asked)

    def reset(self) -> int:
        return self.service.reset(self.principal)


class Parts:
    def __init__(self, folder: Path, *facts: str, store: type[Any] = EdgeStore) -> None:
        self.folder = folder
        self.embedder = WordEmbedder()
        self.finder = ScriptedFinder(*facts)
        self.store = store(folder / "qdrant")
        self.store.prepare(self.embedder.info)
        self.database = Database(SQLite(folder / "history.db"))
        self.history = History(self.database)
        self.messages = Messages(self.database)
        self.journal = Journal(self.database, FileLocks(folder / "processes"), flushes=True)
        service = MemoryService(self.store, self.history, self.journal, self.embedder, self.finder)
        self.service = Asking(service)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path, "Likes tea", "Lives in Lyon")
    yield made
    made.service.close()


SAID = [{"role": "user", "content": "I like tea and live in Lyon"}]
ALICE = {"user_id": "alice"}


class TestInferring:
    def test_stores_what_the_llm_found_with_scope_metadata_and_history(self, parts: Parts) -> None:
        stored = parts.service.add(SAID, ALICE, metadata={"source": "chat"}).stored
        assert [memory["memory"] for memory in stored] == ["Likes tea", "Lives in Lyon"]
        memory = parts.service.get(stored[0]["id"])
        assert (memory["user_id"], memory["metadata"]) == ("alice", {"source": "chat"})
        rows = parts.service.history(stored[0]["id"])
        assert [(row["event"], row["new_memory"]) for row in rows] == [("ADD", "Likes tea")]

    def test_is_the_default_where_there_is_an_llm(self, parts: Parts) -> None:
        parts.service.add(SAID, ALICE)
        assert len(parts.finder.asked) == 1
        parts.service.add(SAID, ALICE, infer=False)
        assert len(parts.finder.asked) == 1

    def test_the_request_of_mem0_is_a_prompt_and_the_messages_in_sections(
        self, parts: Parts
    ) -> None:
        parts.service.add(SAID, ALICE)
        [[system, user]] = parts.finder.asked
        assert system == {"role": "system", "content": ADDITIVE_EXTRACTION_PROMPT}
        assert user["role"] == "user"
        assert user["content"].endswith("# Output:")

    def test_stores_nothing_when_nothing_is_found(self, parts: Parts) -> None:
        parts.finder.facts = ()
        assert parts.service.add(SAID, ALICE).stored == []
        assert parts.service.get_all(ALICE, limit=10)["total"] == 0

    def test_does_not_store_the_same_fact_twice(self, parts: Parts) -> None:
        parts.service.add(SAID, ALICE)
        assert parts.service.add(SAID, ALICE).stored == []

    def test_tells_the_llm_what_was_said_before(self, parts: Parts) -> None:
        parts.service.add(SAID, ALICE)
        parts.service.add([{"role": "user", "content": "And honey"}], ALICE)
        assert "I like tea and live in Lyon" in parts.finder.asked[1][1]["content"]

    def test_shows_the_llm_the_memories_of_that_scope_that_live(self, parts: Parts) -> None:
        for text, scope, expires in [
            ("tea in the morning", ALICE, None),
            ("tea at night", {"user_id": "bob"}, None),
            ("tea of old", ALICE, "2020-01-01"),
        ]:
            said = [{"role": "user", "content": text}]
            parts.service.add(said, scope, infer=False, expiration_date=expires)
        parts.service.add(SAID, ALICE)
        prompt = parts.finder.asked[0][1]["content"]
        assert "tea in the morning" in prompt
        assert "tea at night" not in prompt
        assert "tea of old" not in prompt

    def test_keeps_the_expiration_date(self, parts: Parts) -> None:
        stored = parts.service.add(SAID, ALICE, expiration_date="2999-01-01").stored
        assert parts.service.get(stored[0]["id"])["expiration_date"] == "2999-01-01"


def extraction(parts: Parts) -> Extraction:
    return Extraction(parts.store, parts.messages, parts.embedder, parts.finder)


def test_a_draft_stores_nothing(parts: Parts) -> None:
    draft = extraction(parts).run(SAID, ALICE, metadata={}, expiration_date=None)
    assert len(draft.points) == 2
    assert parts.store.count({}) == 0
    assert parts.messages.get_last_messages("user_id=alice") == []


@pytest.mark.parametrize("scope", [{"app_id": "shop"}, ALICE | {"app_id": "shop"}], ids=str)
def test_what_an_llm_finds_belongs_to_the_app(parts: Parts, scope: Scope) -> None:
    parts.service.add([{"role": "user", "content": "tea of the shop"}], scope, infer=False)
    parts.service.add([{"role": "user", "content": "tea at home"}], ALICE, infer=False)
    stored = parts.service.add(SAID, scope).stored
    assert len(stored) == 2
    for memory in stored:
        payload = parts.store.get_many([memory["id"]])[0].payload
        assert {key: payload[key] for key in SCOPE_KEYS if key in payload} == scope
    prompt = parts.finder.asked[0][1]["content"]
    assert ("tea of the shop" in prompt, "tea at home" in prompt) == (True, False)
    assert parts.messages.get_last_messages(session_key(scope))
    assert parts.service.history(stored[0]["id"])
    assert parts.service.delete_all(scope).memories == 3
    assert parts.messages.get_last_messages(session_key(scope)) == []


def test_an_update_of_metadata_does_not_embed_again(parts: Parts) -> None:
    memory_id = parts.service.add(SAID, ALICE, infer=False).stored[0]["id"]
    parts.embedder.calls.clear()
    parts.service.update(memory_id, metadata={"a": 1})
    parts.service.update(memory_id, data=SAID[0]["content"])
    assert parts.embedder.calls == []
    assert parts.service.search("tea", ALICE)[0]["id"] == memory_id


def test_several_messages_are_one_embedding_call(parts: Parts) -> None:
    said = [{"role": "user", "content": f"note {n}"} for n in range(5)]
    parts.service.add(said, ALICE, infer=False)
    assert [len(call) for call in parts.embedder.calls] == [5]


def test_delete_all_forgets_the_conversations_of_the_scope(parts: Parts) -> None:
    parts.service.add(SAID, {"user_id": "alice", "run_id": "r&1"})
    parts.service.add(SAID, {"user_id": "bob"})
    assert parts.service.delete_all(ALICE).memories == 2
    assert parts.messages.get_last_messages("run_id=r%261&user_id=alice") == []
    assert parts.messages.get_last_messages("user_id=bob")


def test_mem0_makes_the_payload_that_we_make(parts: Parts) -> None:
    draft = extraction(parts).run(SAID, ALICE, metadata={"a": 1})
    theirs = next(iter(draft.points.values()))[1]
    ours = new_payload("Likes tea", ALICE, {"a": 1})
    assert ours["hash"] == theirs["hash"]
    assert set(ours) == set(theirs)


def test_mem0_has_no_telemetry_and_no_way_past_the_draft(parts: Parts) -> None:
    held = mem0_memory()
    assert not hasattr(held, "_telemetry_vector_store")
    for name in ("vector_store", "db", "embedding_model"):
        assert not hasattr(held, name)


class TestPinned:
    """What an upgrade of mem0 must not move; here it fails, and not in production."""

    def test_version(self) -> None:
        assert version("mem0ai") == "2.2.1"

    def test_add_and_what_it_reads(self) -> None:
        names = {"self", "messages", "user_id", "agent_id", "run_id", "metadata", "timestamp"}
        names |= {"expiration_date", "infer", "memory_type", "prompt"}
        assert set(inspect.signature(mem0.Memory.add).parameters) == names
        source = inspect.getsource(mem0.Memory.add)
        source += inspect.getsource(mem0.Memory._add_to_vector_store)
        used = {
            *("self.vector_store.search", "self.vector_store.insert", "self.llm.generate_response"),
            *("self.db.get_last_messages", "self.db.save_messages", "self.db.batch_add_history"),
            *("self.embedding_model.embed", "self.embedding_model.embed_batch"),
            *("self.custom_instructions", 'self.config.llm.config.get("enable_vision")'),
        }
        assert {name for name in used if name not in source} == set()

    def test_attributes_that_init_sets(self) -> None:
        source = inspect.getsource(mem0.Memory.__init__)
        ours = {*vars(mem0_memory()), "llm", "vector_store", "db", "embedding_model"}
        assert {name for name in ours if f"self.{name} =" not in source} == set()

    def test_the_store_and_history_interfaces(self) -> None:
        assert set(VectorStoreBase.__abstractmethods__) == {
            *("create_col", "insert", "search", "delete", "update", "get"),
            *("list_cols", "delete_col", "col_info", "list", "reset"),
        }
        draft = {"batch_add_history", "save_messages", "get_last_messages"}
        assert draft <= set(dir(SQLiteManager))
        ours = inspect.signature(Messages.get_last_messages).parameters
        assert [*ours] == [*inspect.signature(SQLiteManager.get_last_messages).parameters]

    def test_the_keys_it_keeps_for_itself(self) -> None:
        source = inspect.getsource(mem0.Memory.get)
        source += inspect.getsource(mem0.Memory._get_all_from_vector_store)
        ours = {"app_id", "_place", "_asks", "_revision"}
        assert {key for key in RESERVED_KEYS if f'"{key}"' not in source} == ours

    def test_the_switches_of_spacy(self) -> None:
        assert spacy_models._load_failed_full is True
        assert spacy_models._load_failed_lemma is True
        assert spacy_models.get_nlp_full() is None

    def test_the_session_scope_of_messages(self) -> None:
        scope = {"user_id": "a&b", "agent_id": "x=y", "run_id": "5%"}
        assert mem0_main._build_session_scope(scope) == session_key(scope)

    def test_extraction_errors_arrive_as_llm_error(self) -> None:
        assert "raise LLMError" in inspect.getsource(mem0.Memory._add_to_vector_store)


def test_scopes_within_a_scope_show_nothing_of_others(parts: Parts) -> None:
    parts.service.add(SAID, ALICE | {"run_id": "r1"}, infer=False)
    parts.service.add(SAID, {"user_id": "bob", "run_id": "r1"}, infer=False)
    alice = Asking(parts.service.service, Principal("k", ALICE))
    assert alice.scopes() == {
        "users": [{"id": "alice", "memories": 1}],
        "agents": [],
        "apps": [],
        "runs": [{"id": "r1", "memories": 1}],
    }
    assert parts.service.scopes()["runs"] == [{"id": "r1", "memories": 2}]
