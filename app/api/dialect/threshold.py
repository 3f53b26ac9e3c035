"""The threshold of a search where mem0's clients send none.

Theirs are made for the similarity of meaning, and so is the score of the service: with the local
embedder "I am a vegetarian and allergic to nuts." has 0.33 for "What are my dietary
restrictions?" (2026-11-27), and mem0's CLI asks for 0.3 unless told otherwise.
"""

from collections.abc import Mapping
from typing import Any

DEFAULT = 0.1
"""The threshold that mem0 takes where a client sends none."""


def threshold(given: Mapping[str, Any]) -> Any:
    """The one of a body, or mem0's own."""
    asked = given.get("threshold")
    return DEFAULT if asked is None else asked
