"""Points as they go to an engine, and as they come from it."""

from dataclasses import dataclass
from typing import Self

from qdrant_edge import SparseVector

from app.embeddings import Vector
from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.ranking import Record


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point as it is written."""

    id: str
    dense: Vector | None
    """None only on the embedded engine, of a memory that is still to be embedded."""
    sparse: SparseVector
    payload: Payload


@dataclass(frozen=True, slots=True)
class Nearest:
    """One list to ask of the engine: by the dense vector, or by words."""

    vector: Vector | SparseVector
    limit: int
    where: Filter
    ids_only: bool = False
    """For ranking alone: the payloads may be left out, and the ids may be the engine's own, which
    can be compared. `hydrate` makes Records of those that are needed."""
    corpus: Filter | None = None
    """By words: among which memories the words' frequencies are counted, see `hybrid`."""

    @property
    def by_words(self) -> bool:
        return isinstance(self.vector, SparseVector)


@dataclass(frozen=True, slots=True)
class Worded:
    """A point as far as its words are concerned."""

    id: str
    text: str
    words: SparseVector | None

    @classmethod
    def of(cls, id_: str, payload: Payload | None, words: SparseVector | None) -> Self:
        return cls(id_, (payload or {}).get("data") or "", words)


@dataclass(frozen=True, slots=True)
class Whole:
    """A memory with its vector of meaning."""

    record: Record
    vector: Vector | None
    """As the engine keeps it, of length 1; None where it is still to be embedded."""
