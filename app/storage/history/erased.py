"""What a purge took from the history database, for its receipt."""

from typing import NamedTuple, Self


class Erased(NamedTuple):
    """How many rows had a text of the scope and have none any more, by table."""

    history: int = 0
    """Events, also of memories that were deleted before."""
    messages: int = 0
    """Of conversations, kept for an LLM."""
    answers: int = 0
    """Of requests with an idempotency key."""
    jobs: int = 0
    """What they were asked, or what they stored."""

    def plus(self, other: "Erased") -> Self:
        return type(self)(*map(sum, zip(self, other, strict=True)))
