"""Collections that mem0 itself makes and fills, without a model."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mem0 import Memory
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient


class Embedder:
    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return [float(len(text)), 1.0, 2.0, 3.0]


class Made(NamedTuple):
    """What mem0 was told, and where it kept it."""

    folder: Path
    history: Path
    changed: str = ""
    """The id of a memory that was changed once."""
    said: str = ""
    """The id of one that an assistant said."""


def filled(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str | None = None) -> Made:
    """By mem0 itself, in a folder or on the server with this address."""
    monkeypatch.setenv("OPENAI_API_KEY", "of nobody: no model is asked")
    made = Made(folder / "qdrant", folder / "history.db")
    vectors = {"path": str(made.folder), "on_disk": True, "embedding_model_dims": 4}
    memory = Memory.from_config(
        {
            "vector_store": {"provider": "qdrant", "config": vectors},
            "history_db_path": str(made.history),
        }
    )
    memory.embedding_model = Embedder()
    if server:
        memory.vector_store.client.close()
        client = QdrantClient(url=server, check_compatibility=False)
        memory.vector_store = Qdrant("mem0", 4, client=client)

    def add(messages: Any, **options: Any) -> str:
        added: str = memory.add(messages, infer=False, **options)["results"][0]["id"]
        return added

    changed = add("Has a dog named Rex", user_id="alice", metadata={"kind": "pet", "n": 1})
    memory.update(changed, "Has a dog named Max")
    memory.delete(add("Likes tea", user_id="bob", agent_id="tutor"))
    answer = [{"role": "assistant", "content": "You like jazz", "name": "Al"}]
    said = add(answer, run_id="r1", expiration_date="2030-01-01")
    memory.close()
    memory.vector_store.client.close()
    return made._replace(changed=changed, said=said)
