"""What a write does, as it is written down before and read back after a crash."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from app.embeddings import EmbedderInfo, Vector
from app.security.scopes import Scope, is_within, overlap
from app.storage.history.messages import Said
from app.storage.payloads import Payload, new_id, scope_of
from app.storage.vectors.store import VectorStore


class UnknownVersion(Exception):
    """A newer version of the service wrote it."""


@dataclass(frozen=True)
class Write:
    """Points to put or to give another payload, or single ids to delete, and their history."""

    VERSION: ClassVar[int] = 2

    rows: list[Payload]
    """History rows, written when it is done."""
    points: dict[str, tuple[Vector | None, Payload]] = field(default_factory=dict)
    """By id; without a vector only the payload changes."""
    deleted: list[str] = field(default_factory=list)
    embedder: EmbedderInfo | None = None
    repeat: tuple[str, str] | None = None
    """Of an add with an idempotency key: who asked, and the key."""
    answer: str | None = None
    said: Said = field(default_factory=list)
    """What an LLM will be given of the conversation next time, see history/messages.py."""
    revisions: dict[str, str | None] = field(default_factory=dict)
    """On a shared store (guarded.py): of the memories that were there; None where one has none."""
    given_ids: bool = False
    """Its memories brought their ids along, and whoever sent them sends them again: an import."""
    id: str = field(default_factory=new_id, compare=False)

    @property
    def adds(self) -> list[str]:
        """The ids of new memories."""
        return [row["memory_id"] for row in self.rows if row["event"] == "ADD"]

    @property
    def ids(self) -> list[str]:
        """Of all memories that it is about."""
        return [*{*self.points, *self.deleted, *self.adds}]

    @property
    def leaves(self) -> dict[str, Payload | None]:
        """Its memories as they are afterwards; None is one that is gone."""
        there = {id_: payload for id_, (_, payload) in self.points.items()}
        return {**dict.fromkeys(self.deleted), **there}

    def steps(self, store: VectorStore, *, again: bool = False) -> Iterator[Callable[[], Any]]:
        """The calls that carry it out, any number of times with the same result.

        `again`: without new payloads for memories that a later write deleted.
        """
        vectors = {id_: (v, payload) for id_, (v, payload) in self.points.items() if v is not None}
        if vectors:
            yield partial(store.put, vectors)
        bare = {id_: payload for id_, (v, payload) in self.points.items() if v is None}
        if again and bare:
            there = {record.id for record in store.get_many([*bare])}
            bare = {id_: payload for id_, payload in bare.items() if id_ in there}
        for id_, payload in bare.items():
            yield partial(store.overwrite_payload, id_, payload)
        if self.deleted:
            yield partial(store.delete_many, self.deleted)

    def took_effect(self, store: VectorStore, *, alone: bool) -> bool:
        """Whether the points show it. An id is given once, so a new memory that is there shows
        its add, whatever happened to it since; each change has a time of its own."""
        found = {record.id: record.payload for record in store.get_many([*self.points])}
        added = {*self.adds}
        changed = all(
            id_ in found and (id_ in added or found[id_].get("updated_at") == payload["updated_at"])
            for id_, (_, payload) in self.points.items()
        )
        return changed and not (self.deleted and store.get_many(self.deleted))

    def roll_back(self, store: VectorStore, known: Collection[str] = ()) -> None:
        """Make sure that an add which is not there does not arrive late. Those that are `known`
        were added by another write since."""
        store.delete_many([id_ for id_ in self.adds if id_ not in known])

    def touches(self, ids: Collection[str], scope: Scope | None, *, whole: bool) -> bool:
        """Whether it is about one of `ids`, or with `whole` about a memory within `scope`."""
        if any(row["memory_id"] in ids for row in self.rows):
            return True
        return whole and any(is_within(scope_of(row), scope or {}) for row in self.rows)

    def to_json(self) -> str:
        points = {
            id_: (None if vector is None else _packed(vector), payload)
            for id_, (vector, payload) in self.points.items()
        }
        embedder = self.embedder and [self.embedder.name, self.embedder.dimensions]
        own = {**vars(self), "kind": "write", "points": points, "embedder": embedder}
        for name in ("revisions", "given_ids"):
            if not own[name]:  # an earlier version can read it then
                del own[name]
        return json.dumps(own)


def together(writes: Sequence[Write]) -> Write:
    """What new memories of several writes are put by: one call. It is no intent."""
    return Write([], {id_: point for write in writes for id_, point in write.points.items()})


@dataclass(frozen=True)
class Deletion:
    """Everything within a scope; {} is a reset. Its memories are kept as parts, see Intents."""

    VERSION: ClassVar[int] = 2

    scope: Scope
    purge: bool = False
    """Erase their texts from the history too."""
    chosen: bool = False
    """Only the memories that its parts name; what was said in the scope stays."""
    last_job: int = 0
    """The number of the last job that was accepted before it: up to there, what waits is cancelled
    with it."""
    id: str = field(default_factory=new_id, compare=False)

    adds: ClassVar[list[str]] = []

    @property
    def is_reset(self) -> bool:
        return not self.scope and not self.chosen

    def took_effect(self, store: VectorStore, *, alone: bool) -> bool:
        """Whether it is to be finished. Its ids are known, so it never meets what came after; a
        reset of a store that is not `shared` knows none, and unless this process is `alone` others
        may have added since."""
        return not self.is_reset or alone or store.shared or not store.count({})

    def roll_back(self, store: VectorStore, known: Collection[str] = ()) -> None:
        """A reset that did not take place leaves nothing."""

    def touches(self, ids: Collection[str], scope: Scope | None, *, whole: bool) -> bool:
        """Whether it may be about memories of `scope`; None: those may be anybody's."""
        if scope is None:
            return True
        return overlap(self.scope, scope) if whole else is_within(scope, self.scope)

    def to_json(self) -> str:
        return json.dumps({**vars(self), "kind": "deletion"})


Intent = Write | Deletion


def read(version: int, body: str) -> Intent:
    """An intent from its JSON. Raises UnknownVersion; ValueError, TypeError or KeyError where it
    is damaged."""
    if version != Write.VERSION:
        raise UnknownVersion
    given: dict[str, Any] = json.loads(body)
    if given.pop("kind") == "deletion":
        return Deletion(**given)
    given["embedder"] = given["embedder"] and EmbedderInfo(*given["embedder"])
    given["repeat"] = given["repeat"] and tuple(given["repeat"])
    given["points"] = {
        id_: (None if packed is None else _unpacked(packed), payload)
        for id_, (packed, payload) in given["points"].items()
    }
    return Write(**given)


def _packed(vector: Vector) -> str:
    return b64encode(np.asarray(vector, np.float32).tobytes()).decode()


def _unpacked(text: str) -> Vector:
    vector: Vector = np.frombuffer(b64decode(text), np.float32).tolist()
    return vector
