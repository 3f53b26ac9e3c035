"""How listings go on, and how long answers are read: in pieces that are bounded in bytes."""

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

ROWS = 1000  # that an engine is asked for at once
PAGE = ROWS - 1  # memories that are listed, or held, at once; one more shows that there are more
CHUNK_BYTES = 4_000_000  # of payloads that are held at once, about
NESTED = 16  # times the room of its text that metadata with objects inside takes, mostly

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class Listed(NamedTuple):
    """A memory's place in a listing."""

    id: str
    time: int
    """Its `created_at`, in microseconds since 1970: what the engines order by."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a listing has come: the time of its last memory, and who of that time was given.

    The ids are needed because several memories may share one `created_at`, and an engine
    gives no order among those.
    """

    time: datetime
    ids: tuple[str, ...]

    def encode(self) -> str:
        text = json.dumps([self.time.isoformat(), *self.ids], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Raises ValueError for anything that `encode` did not make."""
        try:
            time, *ids = json.loads(urlsafe_b64decode(text.encode("ascii")))
            return cls(instant(time), tuple(str(uuid.UUID(point_id)) for point_id in ids))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError("not a cursor of an earlier answer") from error


@dataclass(slots=True)
class Chunk(Generic[T]):
    """What is held at once of a long answer."""

    items: list[T]
    size: int
    """In bytes, about."""
    cursor: Cursor | None = None
    """Of what follows in a listing; None at its end."""


def following(where: Filter, after: Cursor | None) -> Filter:
    """`where`, from a cursor on."""
    if after is None:
        return where
    not_later = {"key": "created_at", "range": {"lte": after.time.isoformat()}}
    rest: Filter = {**where, "must": [*where.get("must", ()), not_later]}
    if after.ids:
        rest["must_not"] = [*where.get("must_not", ()), {"has_id": list(after.ids)}]
    return rest


def listed(points: Iterable[Any]) -> list[Listed]:
    """What both engines answer when they are asked in the order of `created_at`."""
    return [Listed(str(point.id), point.order_value) for point in points]


def cursor_after(ids: Sequence[Listed], before: Cursor | None) -> Cursor:
    """The cursor of what follows `ids`, which are not none and were read from `before`."""
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
    """Small chunks as larger ones, at least one, that are given as soon as they have PAGE items
    or CHUNK_BYTES; by not more than one of the small ones larger."""
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
    """What a payload takes in memory, in bytes, about."""
    values = record.payload.values()
    nested = [len(str(value)) for value in values if isinstance(value, dict | list)]
    return sum(map(getsizeof, values)) + NESTED * sum(nested)
