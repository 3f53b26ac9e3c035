"""Wraps every embedder: bounds its input and checks its output."""

from collections.abc import Callable, Iterator

from app.embeddings import EmbedderInfo, Vector, has_direction
from app.errors import ProviderBadAnswer, ProviderMisconfigured, ServiceError
from app.observability.metrics import ModelMeter

MAX_EMBEDDED_BYTES = 8191
"""Only the beginning of a longer text is embedded. The limit is OpenAI's limit of tokens. A token
has at least one byte, so this fits in any language, without a tokenizer."""

MAX_CALL_BYTES = 250_000  # OpenAI: 300,000 tokens in one call
MAX_CALL_TEXTS = 1000  # OpenAI: 2048


class CheckedEmbedder:
    """An Embedder made from a function from texts to vectors. Learns the dimensions at the first
    call."""

    def __init__(
        self,
        name: str,
        ask: Callable[[list[str]], list[Vector]],
        ask_itself: Callable[[list[str]], list[Vector]] | None = None,
        prefix: Callable[[str, str | None], str] = lambda name, action: "",
        *,
        known_as: str = "",
        dimensions: int | None = None,
        zero: float | None = None,
    ) -> None:
        """`ask_itself` always calls the model, for `check`; `ask` may answer from a cache. For
        `prefix` see Provider, for `zero` see Embedder. `known_as` is the name that collections
        store, by default `name`. `dimensions` are the configured ones."""
        self.name = name
        self.zero = zero
        self._ask = ask
        self._ask_itself = ask_itself or ask
        self._prefix = prefix
        self._meter = ModelMeter("embedder", name)
        self._known_as = known_as or name
        self._wanted = dimensions
        self._dimensions: int | None = None

    @property
    def info(self) -> EmbedderInfo:
        # Without a lock: first requests would wait one after the other for a service that hangs.
        dimensions = self._dimensions or len(self._embed(["dimensions"])[0])
        return EmbedderInfo(self._known_as, dimensions)

    def check(self) -> None:
        """Raises a ServiceError when the model does not embed."""
        self._usable(self._ask_itself(["ready"]), 1)

    def embed(self, text: str, memory_action: str | None = None) -> Vector:
        return self.embed_batch([text], memory_action)[0]

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[Vector]:
        prefix = self._prefix(self.name, memory_action)
        vectors: list[Vector] = []
        for batch in _batches([prefix + beginning(text) for text in texts]):
            vectors += self._embed(batch)
        return vectors

    def _embed(self, texts: list[str]) -> list[Vector]:
        return self._usable(self._ask(texts), len(texts))

    def _usable(self, vectors: list[Vector], wanted: int) -> list[Vector]:
        dimensions = self._dimensions or (len(vectors[0]) if vectors else 0)
        if wrong := _what_is_wrong(vectors, wanted, dimensions):
            failure = f"The embedder {self.name} gave vectors that cannot be used: {wrong}."
            raise self._counted(ProviderBadAnswer(failure))
        if self._wanted not in (None, dimensions):
            raise self._counted(
                ProviderMisconfigured(
                    f"The embedder {self.name} gives {dimensions} numbers, whatever it is asked "
                    f"for: set EMBEDDER_DIMENSIONS to {dimensions}, or leave it out."
                )
            )
        self._dimensions = dimensions
        return vectors

    def _counted(self, failure: ServiceError) -> ServiceError:
        self._meter.failed(failure)
        return failure


def _what_is_wrong(vectors: list[Vector], wanted: int, dimensions: int) -> str | None:
    if len(vectors) != wanted:
        return f"{len(vectors)} for {wanted} texts"
    sizes = {len(vector) for vector in vectors}
    if sizes != {dimensions}:
        return f"of {max(sizes - {dimensions})} numbers, and others have {dimensions}"
    if not dimensions or not all(map(has_direction, vectors)):
        return "of zeros, of none, or of numbers that are too large or no numbers"
    return None


def beginning(text: str) -> str:
    """The part of `text` that is embedded."""
    if len(text) * 4 <= MAX_EMBEDDED_BYTES:  # a character has at most 4 bytes
        return text
    return text.encode()[:MAX_EMBEDDED_BYTES].decode(errors="ignore")


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        bytes_ = len(text.encode())
        if batch and (size + bytes_ > MAX_CALL_BYTES or len(batch) == MAX_CALL_TEXTS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += bytes_
    if batch:
        yield batch
