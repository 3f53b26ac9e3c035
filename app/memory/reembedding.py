"""Every memory embedded again, by another model, into a collection that then takes over; or, where
the embedder is the same, the words made again where they are."""

from collections.abc import Callable, Sequence

from app.errors import ServiceError
from app.providers.base import Embedder
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

BATCH = 64
TOLD = 160  # memories looked through, between two lines


class Incomplete(ServiceError):
    """Some memories could not be read; nothing was switched over."""


def reembed(store: VectorStore, embedder: Embedder, tell: Callable[[str], None]) -> None:
    """Bring the collection of `store` to `embedder`, losing nothing.

    May be cut off anywhere and run again: what is embedded already is kept. The old collection
    serves until the new one has everything.
    """
    had_old_words = store.has_old_words()
    if had_old_words:  # first, since it works without the embedder too
        _make_words(store, tell)
    target = store.rebuild_target(embedder.info)
    if target is None:
        nothing = "nothing more" if had_old_words else "nothing"
        tell(f"{nothing} to do: the memories are embedded by {embedder.info}")
        return
    tell(f"embedding the memories again, by {embedder.info}")
    try:
        while _copy(store, target, embedder, tell):
            pass  # once more, for what was written meanwhile
        left = store.count({}) - target.count({})
        if left:
            raise Incomplete(f"{left} memories have no created_at and cannot be listed.")
        if target.has_old_words():  # of an earlier version's run, which was cut off
            _make_words(target, tell)
    except BaseException:
        target.close()
        raise
    store.swap_in(target)
    tell("done: the service may start again")


def _make_words(store: VectorStore, tell: Callable[[str], None]) -> None:
    """Make the words again that are not as texts are cut now; the vectors of meaning stay."""
    tell("making the words again, from the texts")
    for _ in range(2):  # once more, for what was written meanwhile
        seen, total = 0, store.count({})
        for number, texts in store.old_words():
            store.put_words(texts)
            seen += number
            if seen % TOLD == 0:
                tell(f"{seen} of {total}")
    store.keep_words()
    tell("every memory has its words")


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
