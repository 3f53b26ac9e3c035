"""The scale of scores that mem0's clients know.

Their thresholds are made for the similarity of meaning: mem0's CLI asks for 0.3 unless told
otherwise. In the service's own score meaning counts for half, so that "I am a vegetarian and
allergic to nuts." has 0.16 for "What are my dietary restrictions?" with the local embedder, where
their similarity is 0.33 (2026-11-27).
"""

from collections.abc import Mapping
from typing import Any

SCALE = 2.0

DEFAULT = 0.1
"""The threshold that mem0 takes where a client sends none."""


def threshold(given: Mapping[str, Any]) -> Any:
    """The one of a body, or mem0's own, on the service's scale; what is none as it is, to be
    refused as a field."""
    asked = given.get("threshold")
    if asked is None:
        asked = DEFAULT
    if not isinstance(asked, int | float) or isinstance(asked, bool) or asked > 1:
        return asked
    return asked / SCALE


def rescored(memory: dict[str, Any]) -> dict[str, Any]:
    """A search result with its score on their scale, 0..1: the order stays."""
    return {**memory, "score": min(1.0, memory["score"] * SCALE)}
