"""Guarded writes, for a store that several processes share: a write that arrives late does no harm.

A process that was stopped, or cut off from the database, loses its lease, and others recover its
writes. It may still send calls to the store after that. They are recognised by the revision of each
memory, which is the id of the intent that wrote it last:

- a new memory is written only where its id does not exist. Where its add was rolled back or redone,
  the id is kept as a tombstone, and a late arrival is deleted, see history/tombstones.py;
- a change or a deletion takes place only on the revision that it was made from. So any process may
  send it again, and it takes place once.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from app.embeddings import Vector
from app.errors import MemoryNotFound, ServiceBusy, VectorStoreUnavailable
from app.storage.journal.writes import Write
from app.storage.locks import CHANGING
from app.storage.payloads import REVISION, Payload
from app.storage.vectors.store import VectorStore


def as_read(store: VectorStore, write: Write) -> Write:
    """`write` with the current revisions of the memories that it changes. These are the ones that
    it was made from: the caller holds their locks, and an intent cannot begin after its locks were
    lost."""
    known = {*write.adds}
    changed = [id_ for id_ in write.ids if id_ not in known]
    if not store.shared or not changed:
        return write
    there = {record.id: record.payload.get(REVISION) for record in store.get_many(changed)}
    return replace(write, revisions=there)


def new(*writes: Write) -> dict[str, tuple[Vector, Payload]]:
    """The points of new memories, with their revisions."""
    return {
        id_: (vector, {**payload, REVISION: write.id})
        for write in writes
        for id_, (vector, payload) in write.points.items()
        if id_ not in write.revisions and vector is not None
    }


def steps(store: VectorStore, write: Write) -> Iterator[Callable[[], Any]]:
    """The calls that carry `write` out."""
    if added := new(write):
        yield partial(store.insert, added)
    for id_ in write.revisions:
        yield partial(_change, store, write, id_)


def settle(store: VectorStore, write: Write) -> bool:
    """Make sure of `write`. Returns whether it took place before or now; if not it never will,
    except for late arrivals, which tombstones handle."""
    if write.embedder and write.embedder.name:
        store.prepare(write.embedder)  # this process may have just begun
    added = new(write)
    # With replicas, a memory that one node lacks may be on another. And an id that an import gave
    # gets no tombstone, because the import sends it again. In both cases the add is redone.
    if added and (store.replicated or write.given_ids):
        store.insert(added)
    elif len(store.get_many([*added])) < len(added):
        return False  # the adds are the first call, so that no other one was sent
    try:
        for id_ in write.revisions:
            _change(store, write, id_)
    except ServiceBusy:
        return False
    return True


def _change(store: VectorStore, write: Write, memory_id: str) -> None:
    """Change or delete a memory. Raises ServiceBusy, and does nothing, where its revision is
    another."""
    revision = write.revisions[memory_id]
    try:
        if memory_id in write.deleted:
            store.remove(memory_id, revision)
        else:
            vector, payload = write.points[memory_id]
            store.replace(memory_id, vector, {**payload, REVISION: write.id}, revision)
    except MemoryNotFound:
        raise ServiceBusy(CHANGING) from None
    found = store.get(memory_id)
    if found is None:
        if memory_id not in write.deleted:
            raise ServiceBusy(CHANGING)
        return
    stands = found.payload.get(REVISION)
    if stands == revision:
        raise VectorStoreUnavailable("The Qdrant server did not carry the write out.")
    if stands != write.id:
        raise ServiceBusy(CHANGING)
