"""Points and requests that are exchanged with an engine."""

from dataclasses import dataclass
from typing import Self

from qdrant_edge import SparseVector

from app.embeddings import Vector
from app.storage.payloads import Payload
from app.storage.vectors.filters import Filter
from app.storage.vectors.ranking import Record


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point to write."""

    id: str
    dense: Vector | None
    """None for a memory that is still to be embedded, which only the embedded engine has."""
    sparse: SparseVector
    payload: Payload


@dataclass(frozen=True, slots=True)
class Nearest:
    """A request for one list of points: by the dense vector, or by words."""

    vector: Vector | SparseVector
    limit: int
    where: Filter
    ids_only: bool = False
    """Whether the list is for ranking only. Payloads may then be left out, and ids be the engine's
    own, which can be compared. `hydrate` completes the records that are needed."""
    corpus: Filter | None = None
    """The memories among which document frequencies are counted, see `hybrid`."""

    @property
    def by_words(self) -> bool:
        return isinstance(self.vector, SparseVector)


@dataclass(frozen=True, slots=True)
class Worded:
    """A point's text and words."""

    id: str
    text: str
    words: SparseVector | None

    @classmethod
    def of(cls, id_: str, payload: Payload | None, words: SparseVector | None) -> Self:
        return cls(id_, (payload or {}).get("data") or "", words)


@dataclass(frozen=True, slots=True)
class Whole:
    """A memory with its dense vector."""

    record: Record
    vector: Vector | None
    """The unit vector that the engine stores; None where the memory is still to be embedded."""
