"""Cursors of listings, and chunks, in which long answers are read with bounded memory."""

import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sys import getsizeof
from typing import Any, Generic, NamedTuple, Self, TypeVar

from app.storage.payloads import instant
from app.storage.vectors.filters import Filter
from app.storage.vectors.ranking import Record

ROWS = 1000  # points that an engine is asked for at once
PAGE = ROWS - 1  # memories in one page: one point more is read to see whether there are more
CHUNK_BYTES = 4_000_000  # of payloads that are held at once, about
NESTED = 16  # nested metadata takes about so many times the memory of its text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class Listed(NamedTuple):
    """A memory's place in a listing."""

    id: str
    time: int
    """Its `created_at` in microseconds since 1970, by which the engines sort."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a listing: the time of the last memory that was returned, and the ids of those
    with that time that were returned.

    The ids are needed because several memories may have one `created_at`, and engines do not sort
    those.
    """

    time: datetime
    ids: tuple[str, ...]

    def encode(self) -> str:
        text = json.dumps([self.time.isoformat(), *self.ids], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """The cursor in `text`. Raises ValueError where `encode` did not make it."""
        try:
            time, *ids = json.loads(urlsafe_b64decode(text.encode("ascii")))
            return cls(instant(time), tuple(str(uuid.UUID(point_id)) for point_id in ids))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError("not a cursor of an earlier answer") from error


@dataclass(slots=True)
class Chunk(Generic[T]):
    """A part of a long answer that is held in memory."""

    items: list[T]
    size: int
    """The size in bytes, about."""
    cursor: Cursor | None = None
    """The cursor after this part of a listing; None at its end."""


def following(where: Filter, after: Cursor | None) -> Filter:
    """`where`, for the memories after a cursor."""
    if after is None:
        return where
    not_later = {"key": "created_at", "range": {"lte": after.time.isoformat()}}
    rest: Filter = {**where, "must": [*where.get("must", ()), not_later]}
    if after.ids:
        rest["must_not"] = [*where.get("must_not", ()), {"has_id": list(after.ids)}]
    return rest


def listed(points: Iterable[Any]) -> list[Listed]:
    """The places of points that an engine returned in the order of `created_at`."""
    return [Listed(str(point.id), point.order_value) for point in points]


def cursor_after(ids: Sequence[Listed], before: Cursor | None) -> Cursor:
    """The cursor after `ids`, which must not be empty and were read after the cursor `before`."""
    last = ids[-1].time
    time = EPOCH + timedelta(microseconds=last)
    same = [one.id for one in ids if one.time == last]
    if before and before.time == time:
        same += before.ids
    return Cursor(time, tuple(same))


def sliced(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def merged(chunks: Iterable[Chunk[T]]) -> Iterator[Chunk[T]]:
    """Small chunks joined into larger ones, at least one. Each is complete as soon as it has PAGE
    items or CHUNK_BYTES, which it exceeds by one small chunk at most."""
    held = Chunk[T]([], 0)
    for chunk in chunks:
        if chunk.items and (held.size >= CHUNK_BYTES or len(held.items) >= PAGE):
            yield held
            held = Chunk([], 0)
        held.items += chunk.items
        held.size += chunk.size
        held.cursor = chunk.cursor
    yield held


def size_of(record: Record) -> int:
    """The memory that a payload takes, in bytes, about."""
    values = record.payload.values()
    nested = [len(str(value)) for value in values if isinstance(value, dict | list)]
    return sum(map(getsizeof, values)) + NESTED * sum(nested)
