"""The embedder and the LLM that the settings choose."""

from app.config import Settings
from app.memory.engine import LLM, Embedder
from app.memory.minilm import MiniLM


def open_embedder(settings: Settings) -> Embedder:
    return MiniLM()


def open_llm(settings: Settings) -> LLM | None:
    return None
