"""What operations give, where it is more than a memory or a list of them."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Added:
    """What an add stored, in order, and how many facts it could not."""

    stored: list[dict[str, str]]
    failed: int = 0

    def shown(self) -> dict[str, Any]:
        """As callers see it: `result` is the id of the first that was stored, or None."""
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
    """What a deletion took."""

    memories: int
    erased: dict[str, int] = field(default_factory=dict)
    """By a purge: how much had a text of the scope and is gone or has none any more, by where it
    was."""
    left: list[dict[str, str]] = field(default_factory=list)
    """After a purge: `where` the texts may still stand, and in `detail` until when."""


class Found(NamedTuple):
    """A part of what a search found."""

    memories: list[dict[str, Any]]
    degraded: str | None = None
    """Why it was by words alone; None where it was by meaning too."""


class Page(NamedTuple):
    """A part of a listing."""

    memories: list[dict[str, Any]]
    total: int | None
    """How many pass, over all pages; None where all are listed."""
    cursor: str | None
    """Of what follows; None at the end."""


class Entity(NamedTuple):
    """A user, agent or other that has memories."""

    kind: str
    """The key of its id in a scope, such as `user_id`."""
    id: str
    memories: int
    """How many, the expired ones too."""
