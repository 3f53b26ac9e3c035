"""What a provider gives: an embedder, or an LLM."""

from typing import Any, Protocol

from app.embeddings import EmbedderInfo, Vector


class Embedder(Protocol):
    """Text to vectors. `memory_action` is mem0's: add, search or update."""

    @property
    def info(self) -> EmbedderInfo:
        """Its name and the size of its vectors; may have to ask the model once."""

    def embed(self, text: str, memory_action: str | None = None) -> Vector: ...

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[Vector]: ...


class LLM(Protocol):
    def generate_response(
        self, messages: list[dict[str, str]], response_format: Any = None
    ) -> str: ...
