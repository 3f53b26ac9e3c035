"""The interfaces of providers: Provider, Embedder, EmbeddingModel."""

from collections.abc import Callable
from enum import Enum, auto
from typing import ClassVar, Protocol

from app.config import Settings
from app.embeddings import EmbedderInfo, Vector
from app.errors import StartupError
from app.providers.batching import MAX_BATCH
from app.providers.chat import ChatModel
from app.providers.target import Remote, Role, Target, target_of

Check = Callable[[], str | None]
"""Checks a dependency, in a few seconds at most. Returns a note or None; raises a ServiceError,
which says what is wrong."""


class Embedder(Protocol):
    """Text to vectors. `memory_action` is mem0's: add, search or update."""

    zero: float | None
    """The cosine that it gives unrelated texts; None where that is not known."""

    @property
    def info(self) -> EmbedderInfo:
        """Its name and the size of its vectors. The first use may call the model."""

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
    """Whether the start, and each /ready, asks the embedder for an embedding."""

    NO = auto()
    """No, because that would load the model; `open_check` must check whether the model is there."""
    IN_THREAD = auto()
    """Yes, in a thread, because the call may hang. The start does not wait for it."""
    AT_ONCE = auto()
    """Yes, and the start waits for it, because the call cannot hang."""


class Provider:
    """What the module of a provider declares, as an object named PROVIDER.

    The module has the provider's name. It is imported only where the settings choose it, so that it
    may import its library. The settings that it reads are fields of `config.Settings`.
    """

    name: ClassVar[str]
    default_embedder: ClassVar[str] = ""
    default_llm: ClassVar[str] = ""
    remote: ClassVar[Remote | None] = None
    """Its service; None for models in this process."""
    asked_at_start: ClassVar[AskedAtStart] = AskedAtStart.IN_THREAD
    max_batch: ClassVar[int] = MAX_BATCH
    """The most texts in one call to its embedder."""
    embedder_seconds: ClassVar[float | None] = None
    """How long a text may wait for its vector; None means EMBEDDER_TIMEOUT."""

    zero: ClassVar[float | None] = None
    """The cosine that its embedders give unrelated texts; None: it is measured."""

    def target(self, settings: Settings, role: Role, model: str) -> Target:
        """`model` with the settings that are in effect for it. Raises StartupError."""
        return target_of(settings, role, model, self.remote)

    def open_embedder(self, settings: Settings, model: str) -> EmbeddingModel:
        """The embedder, not yet connected. Raises StartupError where something is not installed."""
        raise StartupError(f"EMBEDDER_PROVIDER: {self.name} has no embedder")

    def prefix(self, name: str, action: str | None) -> str:
        """The prefix of each text for the embedder `name`: some models need questions and passages
        marked. `action` is the `memory_action` of Embedder."""
        return ""

    def open_llm(self, settings: Settings, model: str) -> ChatModel:
        """The LLM, not yet connected. Raises StartupError where something is not installed."""
        raise StartupError(f"LLM_PROVIDER: {self.name} has no LLM")

    def open_check(self, settings: Settings, target: Target) -> Check | None:
        """A check that the model is available, cheaper than a call; None where there is none."""
        return None
