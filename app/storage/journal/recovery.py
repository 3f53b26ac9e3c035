"""What a crash, a timeout or a power cut leaves behind, recovered from the intents.

In their order:

- one that was done, on a store that may have lost what was not flushed: done once more;
- one of a deletion of many: finished, so that it is never seen half;
- any, on a store with replicas: done again, so that all of them have it. What is absent from one
  of them may be on another, so nothing is ever undone for that;
- any other: if the points show that it took effect it is finished, else it is rolled back.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence

from app.errors import (
    HistoryUnavailable,
    ServiceError,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.observability.metrics import JOURNAL_SETTLED
from app.storage.history.answers import Answers
from app.storage.history.intents import Intents, StoredIntent
from app.storage.journal import guarded
from app.storage.journal.execution import Execution
from app.storage.journal.liveness import Liveness
from app.storage.journal.unsure import Unsure
from app.storage.journal.writes import Deletion, Intent, UnknownVersion, Write, read
from app.storage.locks import Lock
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)


class Recovery:
    """Of what dead processes left, and of what this one is unsure about; one at a time."""

    def __init__(
        self,
        intents: Intents,
        answers: Answers,
        liveness: Liveness,
        execution: Execution,
        unsure: Unsure,
        *,
        flushes: bool,
    ) -> None:
        """`flushes`: see Journal."""
        self._intents = intents
        self._answers = answers
        self._liveness = liveness
        self._execution = execution
        self._unsure = unsure
        self._flushes = flushes
        self._unreadable: set[int] = set()
        self._left_behind = True  # until everything of dead processes was recovered once
        self._recovering = Lock(detail="An earlier write is still being settled; ask again.")

    @property
    def unreadable(self) -> list[int]:
        """The numbers of intents that a newer version left."""
        return sorted(self._unreadable)

    def recover_left_beside(self, store: VectorStore) -> None:
        """What dead processes left, where some may have died since this one looked last."""
        # An embedded store is one process's alone: once what was left there is recovered, nobody
        # else can leave anything. In a fleet others write all the time; what the dead ones held
        # keeps everybody from writing there, until maintenance has recovered it.
        if store.shared or (self._flushes and not self._left_behind):
            return
        beside = self._intents.writing_beside(self._liveness.process)
        if beside and self._liveness.dead_among(beside):
            with self._recovering:
                self._recover_dead_ones(store)

    def recover_these(self, store: VectorStore, unsure: Iterable[str]) -> None:
        """Those intents of this process, by their ids."""
        for id_ in unsure:
            with self._recovering:
                self._recover_unsure(store, id_)

    def recover_all(self, store: VectorStore) -> ServiceError | None:
        """Everything. The first failure that did not keep the others from being recovered is
        given, any other raised."""
        first = None
        with self._recovering:
            self._recover_dead_ones(store)
            for id_ in self._unsure.ids():
                try:
                    self._recover_unsure(store, id_)
                except (VectorStoreTimeout, VectorStoreUnavailable, HistoryUnavailable):
                    raise  # it is so for all
                except ServiceError as failure:
                    first = first or failure
        return first

    # ---- of dead processes

    def _recover_dead_ones(self, store: VectorStore) -> None:
        for process in self._intents.processes():
            if process != self._liveness.process:
                with self._liveness.if_dead(process) as dead:
                    if dead:
                        self._recover_dead(store, process)
        self._left_behind = False

    def _recover_dead(self, store: VectorStore, process: str) -> None:
        left = [*self._readable(self._intents.of(process))]
        # Asked before anything is done again: a put that is repeated would hide that a later
        # delete, which was cut off, had taken effect.
        stands = {
            stored.number: stored.done or self._stands(store, intent)
            for stored, intent in left
            if not stored.collecting
        }
        for stored, intent in left:
            if stands.get(stored.number):
                if self._flushes or store.replicated or isinstance(intent, Deletion):
                    self._execution.redo(store, intent, stored.number)
                self._finish(stored.number, intent, done=stored.done)
            elif stored.collecting:
                self._cancel(intent)
            else:
                self._roll_back(store, intent)
        store.flush()
        self._intents.forget([*stands])
        self._answers.release_all(process)
        self._intents.release_locks(process)

    def _readable(self, stored: Sequence[StoredIntent]) -> Iterator[tuple[StoredIntent, Intent]]:
        for one in stored:
            try:
                yield one, read(one.version, one.body)
            except (UnknownVersion, ValueError, TypeError, KeyError):
                if one.number not in self._unreadable:
                    self._unreadable.add(one.number)
                    log.error(
                        "the unfinished write %d (version %d) cannot be read here and is kept: "
                        "the version of this service that left it will settle it",
                        one.number,
                        one.version,
                    )

    # ---- of this one

    def _recover_unsure(self, store: VectorStore, id_: str) -> None:
        """Nothing where another thread was faster."""
        found = self._unsure.get(id_)
        if found is None:
            return
        if not found.asked:
            self._intents.cancel(id_)
        elif number := self._intents.number(id_):
            self._recover_asked(store, found.intent, number)
        self._unsure.remove(id_)

    def _recover_asked(self, store: VectorStore, intent: Intent, number: int) -> None:
        if self._stands(store, intent):
            if store.replicated or isinstance(intent, Deletion):
                self._execution.redo(store, intent, number)
        elif self._flushes and not intent.adds:
            # The engine's own log may have it, and would do it at the next start.
            self._execution.redo(store, intent, number)
        else:
            self._roll_back(store, intent)
            return
        self._finish(number, intent)

    # ---- of either

    def _stands(self, store: VectorStore, intent: Intent) -> bool:
        """Whether it is to be finished, not undone."""
        if store.shared and not isinstance(intent, Deletion):
            if store.replicated and intent.adds:
                self._intents.done_again(intent.adds)
            return guarded.settle(store, intent)
        return store.replicated or intent.took_effect(store, alone=self._flushes)

    def _finish(self, number: int, intent: Intent, *, done: bool = False) -> None:
        if not done:
            self._execution.finish(number, intent)
        JOURNAL_SETTLED.labels("finished").inc()
        log.info("a write that was cut off was finished")

    def _roll_back(self, store: VectorStore, intent: Intent) -> None:
        given = isinstance(intent, Write) and intent.given_ids
        known = self._intents.living(intent.adds) if given else ()
        if store.shared:
            # First: what nobody can finish any more may be deleted as late as that comes.
            self._cancel(intent, dead=() if given else intent.adds)
            intent.roll_back(store, known)
        else:
            intent.roll_back(store, known)
            self._cancel(intent)

    def _cancel(self, intent: Intent, dead: Sequence[str] = ()) -> None:
        self._intents.cancel(intent.id, dead=dead)
        JOURNAL_SETTLED.labels("undone").inc()
        log.info("a write that did not take place was undone")
