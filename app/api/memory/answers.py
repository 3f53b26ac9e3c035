"""Answers of the nine routes that differ from what the operation returns."""

from typing import Any

from app.memory.answers import Added


def added(done: Added) -> tuple[dict[str, Any], int]:
    """The answer of an add, and its status."""
    return done.shown(), 201 if done.stored else 200
