"""Every memory embedded again, by another model, into a collection that then takes over."""

from collections.abc import Callable, Sequence

from app.errors import ServiceError
from app.providers.base import Embedder
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

BATCH = 64


class Incomplete(ServiceError):
    """Some memories could not be read; nothing was switched over."""


def reembed(store: VectorStore, embedder: Embedder, tell: Callable[[str], None]) -> None:
    """Bring the collection of `store` to `embedder`, losing nothing.

    May be cut off anywhere and run again: what is embedded already is kept. The old collection
    serves until the new one has everything.
    """
    target = store.rebuild_target(embedder.info)
    if target is None:
        tell(f"nothing to do: the memories are embedded by {embedder.info}")
        return
    tell(f"embedding the memories again, by {embedder.info}")
    try:
        while _copy(store, target, embedder, tell):
            pass  # once more, for what was written meanwhile
        left = store.count({}) - target.count({})
        if left:
            raise Incomplete(f"{left} memories have no created_at and cannot be listed.")
    except BaseException:
        target.close()
        raise
    store.swap_in(target)
    tell("done: the service may start again")


def _copy(
    store: VectorStore, target: VectorStore, embedder: Embedder, tell: Callable[[str], None]
) -> int:
    """Write what is missing or old in `target`; how many memories those were."""
    there = {record.id: record.payload.get("updated_at") for record in target.scan({})}
    total = store.count({})
    copied = seen = 0
    for batch in _batches([*store.scan({})]):
        seen += len(batch)
        missing = [r for r in batch if there.pop(r.id, ()) != r.payload.get("updated_at")]
        if missing:
            vectors = embedder.embed_batch([record.payload["data"] for record in missing], "add")
            pairs = zip(missing, vectors, strict=True)
            target.put({record.id: (vector, record.payload) for record, vector in pairs})
            copied += len(missing)
            tell(f"{seen} of {total}")
    target.delete_many([*there])  # deleted since an earlier run copied them
    return copied


def _batches(records: Sequence[Record]) -> list[Sequence[Record]]:
    return [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
