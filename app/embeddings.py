"""Vectors, and who made them."""

import math
from dataclasses import dataclass

Vector = list[float]


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """Who made the vectors of a collection; those of another cannot be compared with them."""

    name: str
    """Provider and model, such as `openai/text-embedding-3-small`."""
    dimensions: int

    def __str__(self) -> str:
        return f"{self.name or 'a model of unknown name'} ({self.dimensions} dimensions)"


def is_finite(vector: Vector) -> bool:
    """Whether every number is; their sum, which is fast to make, mostly tells."""
    return math.isfinite(sum(vector)) or all(map(math.isfinite, vector))
