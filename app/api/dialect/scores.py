"""The scale of scores that mem0's clients know.

Their thresholds are made for the similarity of meaning: mem0's CLI asks for 0.3 unless told
otherwise. In the service's own score meaning counts for half, so that "I am a vegetarian and
allergic to nuts." has 0.16 for "What are my dietary restrictions?" with the local embedder, where
their similarity is 0.33 (2026-11-27).
"""

from typing import Any

SCALE = 2.0


def threshold(asked: Any) -> Any:
    """Theirs as one of the service's own; what is none as it is, to be refused as a field."""
    if not isinstance(asked, int | float) or isinstance(asked, bool) or asked > 1:
        return asked
    return asked / SCALE


def rescored(memory: dict[str, Any]) -> dict[str, Any]:
    """A search result with its score on their scale, 0..1: the order stays."""
    return {**memory, "score": min(1.0, memory["score"] * SCALE)}
