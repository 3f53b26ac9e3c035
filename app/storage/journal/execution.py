"""Carries intents out on the vector store, and finishes them in the history."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

from app.storage.history.erased import Erased
from app.storage.history.intents import Intents
from app.storage.history.together import Finished
from app.storage.journal import guarded
from app.storage.journal.writes import Deletion, Intent, Write, together
from app.storage.listings import Listings
from app.storage.vectors.store import VectorStore

Step = Callable[[], Any]


class Execution:
    """Carries intents out, both for new writes and for recovery."""

    def __init__(
        self, intents: Intents, listings: Listings, *, keep: bool, delete_batch: int
    ) -> None:
        """`listings` are broken off by deletions. `keep`: finished intents are kept until the store
        was flushed. `delete_batch`: how many ids one call deletes."""
        self._intents = intents
        self._listings = listings
        self._keep = keep
        self._delete_batch = delete_batch

    @contextmanager
    def steps(
        self, store: VectorStore, intent: Intent, number: int, *, again: bool = False
    ) -> Iterator[Iterator[Step]]:
        """The calls that carry `intent` out. They are idempotent.

        They must be made within the context, which breaks listings off that would show a part of a
        deletion, and lets new ones wait. `again`: see Write.steps.
        """
        if not isinstance(intent, Deletion):
            yield guarded.steps(store, intent) if store.shared else intent.steps(store, again=again)
            return
        batches = self._intents.ids(number, self._delete_batch)
        calls: Iterator[Step] = (partial(store.delete_many, ids) for ids in batches)
        # Clearing a shared store could delete memories that others add later, after this process
        # lost its lease.
        clears = intent.is_reset and not store.shared
        first = store.clear if clears else next(calls, None)
        if first is None:  # nothing is deleted, so no listing is concerned
            yield iter(())
            return
        with self._listings.deleting(intent.scope):
            yield chain([first], calls)

    def together(self, store: VectorStore, writes: Sequence[Write]) -> Iterator[Step]:
        """The call that carries out several writes which only add memories."""
        if store.shared:
            yield partial(store.insert, guarded.new(*writes))
        else:
            yield from together(writes).steps(store)

    def finish(self, number: int, intent: Intent) -> Erased:
        """Write the intent's rows into the history, unless that was done already. Returns what a
        purge erased."""
        keep = self._keep
        if isinstance(intent, Deletion):
            scope = None if intent.chosen else intent.scope
            return self._intents.finish_deletion(
                number, scope, keep=keep, purge=intent.purge, last_job=intent.last_job
            )
        self._intents.finish(_finished(number, intent), keep=keep)
        return Erased()

    def finish_all(self, done: Sequence[tuple[int, Write]]) -> None:
        """Finish several writes, which come with the numbers of their intents."""
        finished = [_finished(number, write) for number, write in done]
        self._intents.finish_all(finished, keep=self._keep)

    def redo(self, store: VectorStore, intent: Intent, number: int) -> None:
        """Carry `intent` out again."""
        if not isinstance(intent, Deletion) and intent.embedder and intent.embedder.name:
            store.prepare(intent.embedder)
        with self.steps(store, intent, number, again=True) as steps:
            for step in steps:
                step()


def _finished(number: int, write: Write) -> Finished:
    return Finished(number, write.rows, write.answer, write.said, write.leaves, write.given_ids)
