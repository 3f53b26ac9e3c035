"""What the routes answer, where it is more than what the operation gives."""

from typing import Any

from app.memory.answers import Added


def added(done: Added) -> tuple[dict[str, Any], int]:
    """Of an add, with its status."""
    return done.shown(), 201 if done.stored else 200
