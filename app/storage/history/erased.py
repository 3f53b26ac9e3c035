"""What a purge erased from the history database, for its answer."""

from typing import NamedTuple, Self


class Erased(NamedTuple):
    """How many rows of each table lost a text of the scope."""

    history: int = 0
    """Events, including those of memories that were deleted before."""
    messages: int = 0
    """Messages that were kept as context for the LLM."""
    answers: int = 0
    """Answers of requests with an idempotency key."""
    jobs: int = 0
    """Jobs with their bodies or results."""

    def plus(self, other: "Erased") -> Self:
        return type(self)(*map(sum, zip(self, other, strict=True)))
