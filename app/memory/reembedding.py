"""Embeds all memories with another model, into a new collection that then replaces the old one.
Where an earlier version cut texts into words differently, it also makes the words again."""

from collections.abc import Callable, Sequence

from app.errors import ServiceError
from app.providers.base import Embedder
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

BATCH = 64
TOLD = 160  # memories between two lines of progress


class Incomplete(ServiceError):
    """Some memories could not be read; nothing was switched over."""


def reembed(store: VectorStore, embedder: Embedder, tell: Callable[[str], None]) -> None:
    """Make the vectors of the collection of `store` again, by `embedder`.

    It may be interrupted at any point and run again; finished work is kept. The old collection
    is replaced only when the new one is complete. `tell` gets the lines of progress.
    """
    had_old_words = store.has_old_words()
    if had_old_words:  # first, because it needs no embedder
        _make_words(store, tell)
    target = store.rebuild_target(embedder.info)
    if target is None:
        nothing = "nothing more" if had_old_words else "nothing"
        tell(f"{nothing} to do: the memories are embedded by {embedder.info}")
        return
    tell(f"embedding the memories again, by {embedder.info}")
    try:
        while _copy(store, target, embedder, tell):
            pass  # again, for memories that were written meanwhile
        left = store.count({}) - target.count({})
        if left:
            raise Incomplete(f"{left} memories have no created_at and cannot be listed.")
        if target.has_old_words():  # an earlier version began this collection
            _make_words(target, tell)
    except BaseException:
        target.close()
        raise
    store.swap_in(target)
    tell("done: the service may start again")


def _make_words(store: VectorStore, tell: Callable[[str], None]) -> None:
    """Make the words of memories again where texts are now cut differently; vectors stay."""
    tell("making the words again, from the texts")
    for _ in range(2):  # twice, for memories that were written meanwhile
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
    """Embed the memories that are missing or outdated in `target`. Returns how many."""
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
    target.delete_many([*there])  # deleted after an earlier run had copied them
    return copied


def _batches(records: Sequence[Record]) -> list[Sequence[Record]]:
    return [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
