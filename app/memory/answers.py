"""The results of operations, where they are more than a memory or a list of memories."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Added:
    """The memories that an add stored, in order, and how many facts could not be stored."""

    stored: list[dict[str, str]]
    failed: int = 0

    def shown(self) -> dict[str, Any]:
        """The answer for callers; `result` is the id of the first stored memory, or None."""
        first = self.stored[0]["id"] if self.stored else None
        answer = {"result": first, "results": self.stored}
        return answer | {"failed": self.failed} if self.stored and self.failed else answer

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Added":
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Deleted:
    """The result of a deletion."""

    memories: int
    erased: dict[str, int] = field(default_factory=dict)
    """How many items a purge deleted, or erased a text from, by where they were stored."""
    left: list[dict[str, str]] = field(default_factory=list)
    """Where texts may still be stored after a purge (`where`), and until when (`detail`)."""


class Found(NamedTuple):
    """A part of the results of a search."""

    memories: list[dict[str, Any]]
    degraded: str | None = None
    """Why only words were searched; None where meaning was, too."""


class Page(NamedTuple):
    """A part of a listing."""

    memories: list[dict[str, Any]]
    total: int | None
    """How many memories all pages have together; None where the listing has no limit."""
    cursor: str | None
    """The cursor of the next page; None at the end."""


class Entity(NamedTuple):
    """A user, agent, app or run that has memories."""

    kind: str
    """The key of its id in a scope, such as `user_id`."""
    id: str
    memories: int
    """The number of its memories, including expired ones."""
