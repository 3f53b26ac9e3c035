"""One body of a batch, from what was sent to what is answered."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import ServiceError
from app.memory.answers import Added
from app.memory.given import Given
from app.memory.jobs.job import Job
from app.memory.requests import AddRequest

Outcome = Added | Job | ServiceError
"""What is answered, the job that will do it, or the failure: as for an add by itself."""


@dataclass
class Part:
    """A body that can be read."""

    asked: AddRequest
    given: Given
    inferred: bool
    """Whether an LLM is asked for it."""
    place: int | None = None
    """Of its first memory, in the order of its conversation."""
    outcome: Outcome | None = None
    """None until it is known."""

    @property
    def key(self) -> str | None:
        return self.given.key.key if self.given.key else None


def key_of(key: str | None, number: int) -> str | None:
    """The idempotency key of one body in the batch that has `key`. With a space in it, so that no
    caller can send it."""
    return key and f"{hashlib.sha256(key.encode()).hexdigest()} {number}"


class Bound(NamedTuple):
    """Of what goes together."""

    texts: int
    characters: int


def divided(parts: Sequence[Part], most: Bound) -> Iterator[list[Part]]:
    """In their order, as few as there may be; one alone may have more."""
    some: list[Part] = []
    count = size = 0
    for part in parts:
        texts = part.given.texts()
        characters = sum(map(len, texts))
        if some and (count + len(texts) > most.texts or size + characters > most.characters):
            yield some
            some, count, size = [], 0, 0
        some.append(part)
        count, size = count + len(texts), size + characters
    if some:
        yield some
