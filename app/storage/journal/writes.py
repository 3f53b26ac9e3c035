"""The intents: what a write does, in a form that can be stored and read again after a crash."""

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
    """A newer version of the service wrote the intent."""


@dataclass(frozen=True)
class Write:
    """An intent to store points, change payloads, or delete single memories, with their history."""

    VERSION: ClassVar[int] = 2

    rows: list[Payload]
    """The history rows, which are written after the points."""
    points: dict[str, tuple[Vector | None, Payload]] = field(default_factory=dict)
    """Points by their ids. Without a vector only the payload changes."""
    deleted: list[str] = field(default_factory=list)
    embedder: EmbedderInfo | None = None
    repeat: tuple[str, str] | None = None
    """The caller and the idempotency key of an add, if it has a key."""
    answer: str | None = None
    said: Said = field(default_factory=list)
    """Messages that the LLM gets as context in the next add, see history/messages.py."""
    revisions: dict[str, str | None] = field(default_factory=dict)
    """On a shared store (guarded.py) the revisions of the changed memories, by their ids; None for
    a memory without one."""
    given_ids: bool = False
    """Whether the ids came with the memories, as in an import, which may send them again."""
    id: str = field(default_factory=new_id, compare=False)

    @property
    def adds(self) -> list[str]:
        """The ids of new memories."""
        return [row["memory_id"] for row in self.rows if row["event"] == "ADD"]

    @property
    def ids(self) -> list[str]:
        """The ids of all memories that it concerns."""
        return [*{*self.points, *self.deleted, *self.adds}]

    @property
    def leaves(self) -> dict[str, Payload | None]:
        """Its memories as they are afterwards; None is one that is gone."""
        there = {id_: payload for id_, (_, payload) in self.points.items()}
        return {**dict.fromkeys(self.deleted), **there}

    def steps(self, store: VectorStore, *, again: bool = False) -> Iterator[Callable[[], Any]]:
        """The calls that carry it out. They are idempotent.

        `again`: for a redo; leaves out changes of memories that a later write deleted.
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
        """Whether the points show that it took effect. Ids are unique, so a new memory that exists
        proves its add; a change is recognised by its time in `updated_at`."""
        found = {record.id: record.payload for record in store.get_many([*self.points])}
        added = {*self.adds}
        changed = all(
            id_ in found and (id_ in added or found[id_].get("updated_at") == payload["updated_at"])
            for id_, (_, payload) in self.points.items()
        )
        return changed and not (self.deleted and store.get_many(self.deleted))

    def roll_back(self, store: VectorStore, known: Collection[str] = ()) -> None:
        """Delete the new memories, so that a late add is undone, except those in `known`, which
        another write has added since."""
        store.delete_many([id_ for id_ in self.adds if id_ not in known])

    def touches(self, ids: Collection[str], scope: Scope | None, *, whole: bool) -> bool:
        """Whether it concerns one of `ids`, or with `whole` a memory in `scope`."""
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
            if not own[name]:  # so that an earlier version can read the intent
                del own[name]
        return json.dumps(own)


def together(writes: Sequence[Write]) -> Write:
    """One Write with the points of several, for a single call. It is not stored as an intent."""
    return Write([], {id_: point for write in writes for id_, point in write.points.items()})


@dataclass(frozen=True)
class Deletion:
    """An intent to delete everything in a scope; {} means a reset. The ids of its memories are
    stored as parts, see Intents."""

    VERSION: ClassVar[int] = 2

    scope: Scope
    purge: bool = False
    """Whether their texts are erased from the history, too."""
    chosen: bool = False
    """Whether only the memories in its parts are deleted, and the messages of the scope stay."""
    last_job: int = 0
    """The number of the last job that was accepted before it. Pending jobs of the scope up to that
    number are cancelled with it."""
    id: str = field(default_factory=new_id, compare=False)

    adds: ClassVar[list[str]] = []
    repeat: ClassVar[None] = None

    @property
    def is_reset(self) -> bool:
        return not self.scope and not self.chosen

    def took_effect(self, store: VectorStore, *, alone: bool) -> bool:
        """Whether it is to be finished. It deletes by ids, so it never affects later memories. Only
        a reset of a store that is not `shared` has no ids: it is finished where this process is
        `alone`, so that no other one can have added memories since, or where the store is empty."""
        return not self.is_reset or alone or store.shared or not store.count({})

    def roll_back(self, store: VectorStore, known: Collection[str] = ()) -> None:
        """Does nothing: a reset that did not take place has changed nothing."""

    def touches(self, ids: Collection[str], scope: Scope | None, *, whole: bool) -> bool:
        """Whether it may concern memories in `scope`; None means memories of any scope."""
        if scope is None:
            return True
        return overlap(self.scope, scope) if whole else is_within(scope, self.scope)

    def to_json(self) -> str:
        return json.dumps({**vars(self), "kind": "deletion"})


Intent = Write | Deletion


def read(version: int, body: str) -> Intent:
    """An intent from its JSON. Raises UnknownVersion, and ValueError, TypeError or KeyError where
    the JSON is damaged."""
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
