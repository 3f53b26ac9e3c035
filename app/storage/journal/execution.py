"""How an intent is carried out on the vector store, and finished in the history."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from app.storage.history.intents import Intents
from app.storage.journal.writes import Deletion, Intent
from app.storage.vectors.store import VectorStore


class Execution:
    """The same for a write at work and for one that is recovered."""

    def __init__(self, intents: Intents, *, keep: bool, delete_batch: int) -> None:
        """`keep` intents that are finished, until the store was flushed. `delete_batch`: how
        many ids one call deletes."""
        self._intents = intents
        self._keep = keep
        self._delete_batch = delete_batch

    def steps(self, store: VectorStore, intent: Intent, number: int) -> Iterator[Callable[[], Any]]:
        """The calls that carry it out, any number of times with the same result."""
        if not isinstance(intent, Deletion):
            yield from intent.steps(store)
            return
        if not intent.scope:
            yield store.clear
        for ids in self._intents.ids(number, self._delete_batch):
            yield partial(store.delete_many, ids)

    def finish(self, number: int, intent: Intent) -> None:
        """Put its rows into the history; nothing where that was done before."""
        keep = self._keep
        if isinstance(intent, Deletion):
            self._intents.finish_deletion(number, intent.scope, keep=keep, purge=intent.purge)
            return
        self._intents.finish(number, intent.rows, keep=keep, answer=intent.answer, said=intent.said)

    def redo(self, store: VectorStore, intent: Intent, number: int) -> None:
        if isinstance(intent, Deletion):
            steps = self.steps(store, intent, number)
        else:
            if intent.embedder and intent.embedder.name:
                store.prepare(intent.embedder)
            steps = intent.steps(store, again=True)
        for step in steps:
            step()
