"""One add of a batch, from its body to its outcome."""

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
"""The answer of an add, the job that will do it, or its failure."""


@dataclass
class Part:
    """An add of a batch whose body was valid."""

    asked: AddRequest
    given: Given
    inferred: bool
    """Whether the LLM is asked for it."""
    place: int | None = None
    """The place of its first memory in its conversation, see Places."""
    outcome: Outcome | None = None
    """None until the add has ended."""

    @property
    def key(self) -> str | None:
        return self.given.key.key if self.given.key else None


def key_of(key: str | None, number: int) -> str | None:
    """The idempotency key of the add `number` in the batch with `key`. It has a space in it, so
    that no caller can send the same one."""
    return key and f"{hashlib.sha256(key.encode()).hexdigest()} {number}"


class Bound(NamedTuple):
    """The most that one call or write may have."""

    texts: int
    characters: int


def divided(parts: Sequence[Part], most: Bound) -> Iterator[list[Part]]:
    """`parts` in their order, in as few lists as `most` allows. A single part may exceed it."""
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
