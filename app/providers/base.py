"""What a provider declares, and what it gives: embeddings, a chat, or both."""

from collections.abc import Callable
from enum import Enum, auto
from typing import ClassVar, Protocol

from app.config import Settings
from app.embeddings import EmbedderInfo, Vector
from app.errors import StartupError
from app.providers.asked import Asked
from app.providers.batching import MAX_BATCH
from app.providers.chat import ChatModel

Check = Callable[[], str | None]
"""What there is to know where all is well, if anything; raises the ServiceError that says what is
missing. Takes a few seconds at most."""


class Embedder(Protocol):
    """Text to vectors. `memory_action` is mem0's: add, search or update."""

    zero: float | None
    """The cosine that it gives unrelated texts; None where nobody has measured it."""

    @property
    def info(self) -> EmbedderInfo:
        """Its name and the size of its vectors; may have to ask the model once."""

    def embed(self, text: str, memory_action: str | None = None) -> Vector: ...

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[Vector]: ...


class EmbeddingModel(Protocol):
    """One model of a provider: safe for many threads, bounded in time, counted by a ModelMeter.

    Raises a ServiceError for whatever fails.
    """

    @property
    def name(self) -> str:
        """Provider and model, such as `openai/text-embedding-3-small`."""

    def __call__(self, texts: list[str]) -> list[Vector]: ...


class AskedAtStart(Enum):
    """Whether an embedding is asked for when the service starts, and for each /ready."""

    NO = auto()
    """It would load the model: `open_check` must tell whether the model is there."""
    IN_THREAD = auto()
    """It may hang: the service starts meanwhile."""
    AT_ONCE = auto()
    """It cannot hang: the start waits for it."""


class Provider:
    """What the file of a provider declares, in one object named PROVIDER.

    The file has the provider's name and is imported only where the settings choose it, so it
    may import its library. The settings that it reads stand in `config.Settings`.
    """

    name: ClassVar[str]
    default_embedder: ClassVar[str] = ""
    default_llm: ClassVar[str] = ""
    asked_at_start: ClassVar[AskedAtStart] = AskedAtStart.IN_THREAD
    max_batch: ClassVar[int] = MAX_BATCH
    """Texts of one call to its embedder."""
    embedder_seconds: ClassVar[float | None] = None
    """How long a text waits for its vector; None for EMBEDDER_TIMEOUT."""

    zero: ClassVar[float | None] = None
    """The cosine that its embedders give unrelated texts; None to have it measured."""

    def open_embedder(self, settings: Settings, model: str) -> EmbeddingModel:
        """Connects to nothing yet. Raises StartupError where something is not installed."""
        raise StartupError(f"EMBEDDER_PROVIDER: {self.name} has no embedder")

    def prefix(self, name: str, action: str | None) -> str:
        """What stands before each text that the embedder of this name is asked for; `action` is
        that of Embedder. Some models want questions and passages marked."""
        return ""

    def open_llm(self, settings: Settings, model: str) -> ChatModel:
        """Connects to nothing yet. Raises StartupError where something is not installed."""
        raise StartupError(f"LLM_PROVIDER: {self.name} has no LLM")

    def open_check(self, settings: Settings, asked: Asked) -> Check | None:
        """What tells whether the model is there, cheaper than to ask it; None if nothing."""
        return None
