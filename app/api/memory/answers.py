"""What the routes answer, where it is more than what the operation gives."""

from typing import Any

from app.memory.answers import Added


def added(done: Added) -> tuple[dict[str, Any], int]:
    """Of an add, with its status."""
    answer: dict[str, Any] = {"result": None, "results": done.stored}
    if not done.stored:
        return answer, 200
    answer["result"] = done.stored[0]["id"]
    if done.failed:
        answer["failed"] = done.failed
    return answer, 201
