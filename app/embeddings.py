"""Vectors, and the embedder that made them."""

import math
from dataclasses import dataclass

Vector = list[float]


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """The embedder of a collection's vectors. Vectors of different embedders cannot be compared."""

    name: str
    """Provider and model, such as `openai/text-embedding-3-small`."""
    dimensions: int

    def __str__(self) -> str:
        return f"{self.name or 'a model of unknown name'} ({self.dimensions} dimensions)"


def is_finite(vector: Vector) -> bool:
    """Whether every number is finite. If the sum is finite, all are; that is faster to check."""
    return math.isfinite(sum(vector)) or all(map(math.isfinite, vector))


def has_direction(vector: Vector) -> bool:
    """Whether `vector` can be compared: its length is a number that is not zero, whose square the
    stores can hold in 32 bits."""
    return 1e-18 < math.hypot(*vector) < 1e18
