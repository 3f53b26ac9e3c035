"""A write to a store that other processes share, so that it may come late and harms nothing.

Whoever was stopped, or cut off from the database, loses its lease, and others settle what it was
about. What it still sends to the store then is told apart by the revision of each memory, which is
the id of the intent that wrote it last:

- a memory that was not there is written only where it still is not. Where its add was given up, or
  done again, its id is kept, and what arrives under it does not live on: history/tombstones.py;
- another payload, or a deletion, takes place only on the revision that it was made of. So it may
  be sent again, by anybody, and takes place once.
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
    """`write` with the revisions of the memories that are there, which are what it was made of: the
    caller has their locks, and an intent is begun only under locks that were not lost meanwhile."""
    known = {*write.adds}
    changed = [id_ for id_ in write.ids if id_ not in known]
    if not store.shared or not changed:
        return write
    there = {record.id: record.payload.get(REVISION) for record in store.get_many(changed)}
    return replace(write, revisions=there)


def new(*writes: Write) -> dict[str, tuple[Vector, Payload]]:
    """The memories that were not there."""
    return {
        id_: (vector, {**payload, REVISION: write.id})
        for write in writes
        for id_, (vector, payload) in write.points.items()
        if id_ not in write.revisions and vector is not None
    }


def steps(store: VectorStore, write: Write) -> Iterator[Callable[[], Any]]:
    """The calls that carry it out."""
    if added := new(write):
        yield partial(store.insert, added)
    for id_ in write.revisions:
        yield partial(_change, store, write, id_)


def settle(store: VectorStore, write: Write) -> bool:
    """Whether it took place, or does now. If not it never will, but for what
    tombstones are for."""
    if write.embedder and write.embedder.name:
        store.prepare(write.embedder)  # the process may have just begun
    added = new(write)
    # What one replica lacks says nothing; and an id that was given may not be buried, since it
    # comes again.
    if added and (store.replicated or write.given_ids):
        store.insert(added)
    elif len(store.get_many([*added])) < len(added):
        return False  # nothing else was sent before these were there
    try:
        for id_ in write.revisions:
            _change(store, write, id_)
    except ServiceBusy:
        return False
    return True


def _change(store: VectorStore, write: Write, memory_id: str) -> None:
    """Raises ServiceBusy where it has another revision, and nothing was done."""
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
