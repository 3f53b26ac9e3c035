"""Recovers intents that a crash, a timeout or a power cut left unfinished.

The intents are recovered in their order:

- a finished intent, on a store that may have lost writes that were not flushed: it is redone;
- a deletion of many memories: it is finished, so that no part of it remains;
- any intent on a store with replicas: it is redone, so that all replicas have it. It is never
  rolled back for a missing point, which may be on another replica;
- any other: if the points show that it took effect it is finished, else it is rolled back.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

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
    """Recovers the intents of dead processes, and the unsure ones of this process. One thread at a
    time recovers."""

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
        self._left_behind = True  # until all intents of dead processes were recovered once
        self._settled: Counter[str] = Counter()
        self._one_at_a_time = Lock(detail="An earlier write is still being settled; ask again.")

    @property
    def unreadable(self) -> list[int]:
        """The numbers of intents of a newer version."""
        return sorted(self._unreadable)

    def recover_left_beside(self, store: VectorStore) -> None:
        """Recover the intents of processes that died since the last look, where there may be any.

        An embedded store belongs to one process, so no other can die after the start. In a fleet
        maintenance does it; until then the dead process's locks keep others from its memories."""
        if store.shared or (self._flushes and not self._left_behind):
            return
        beside = self._intents.writing_beside(self._liveness.process)
        if beside and self._liveness.dead_among(beside):
            with self._recovering():
                self._recover_dead_ones(store)

    def recover_these(self, store: VectorStore, unsure: Iterable[str]) -> None:
        """Recover these intents of this process, by their ids."""
        for id_ in unsure:
            with self._recovering():
                self._recover_unsure(store, id_)

    def recover_all(self, store: VectorStore) -> ServiceError | None:
        """Recover all intents. Raises a failure that concerns all of them; of other failures it
        returns the first."""
        first = None
        with self._recovering():
            self._recover_dead_ones(store)
            for id_ in self._unsure.ids():
                try:
                    self._recover_unsure(store, id_)
                except (VectorStoreTimeout, VectorStoreUnavailable, HistoryUnavailable):
                    raise  # it would fail for all others, too
                except ServiceError as failure:
                    first = first or failure
        return first

    @contextmanager
    def _recovering(self) -> Iterator[None]:
        """Held by one thread at a time. Logs what was settled within it: a crash may leave
        thousands of intents."""
        with self._one_at_a_time:
            self._settled.clear()
            try:
                yield
            finally:
                if self._settled:
                    log.info(
                        "writes that were cut off were settled: %d finished, %d undone",
                        *(self._settled["finished"], self._settled["undone"]),
                    )

    def _settle(self, outcome: str, number: int | str) -> None:
        self._settled[outcome] += 1
        JOURNAL_SETTLED.labels(outcome).inc()
        log.debug("the write %s was %s", number, outcome)

    # ---- intents of dead processes

    def _recover_dead_ones(self, store: VectorStore) -> None:
        for process in self._intents.processes():
            if process != self._liveness.process:
                with self._liveness.if_dead(process) as dead:
                    if dead:
                        self._recover_dead(store, process)
        self._left_behind = False

    def _recover_dead(self, store: VectorStore, process: str) -> None:
        left = [*self._readable(self._intents.of(process))]
        # Decided for all before any is redone: repeating a put would hide that a later, interrupted
        # delete had taken effect.
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

    # ---- unsure intents of this process

    def _recover_unsure(self, store: VectorStore, id_: str) -> None:
        """Recover the intent, unless another thread did it already."""
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
            # The engine's own log may have the change, and would apply it at the next start.
            self._execution.redo(store, intent, number)
        else:
            self._roll_back(store, intent)
            return
        self._finish(number, intent)

    # ---- both

    def _stands(self, store: VectorStore, intent: Intent) -> bool:
        """Whether the intent is to be finished, and not rolled back."""
        if store.shared and not isinstance(intent, Deletion):
            if store.replicated and intent.adds:
                self._intents.done_again(intent.adds)
            return guarded.settle(store, intent)
        return store.replicated or intent.took_effect(store, alone=self._flushes)

    def _finish(self, number: int, intent: Intent, *, done: bool = False) -> None:
        if not done:
            self._execution.finish(number, intent)
        self._settle("finished", number)

    def _roll_back(self, store: VectorStore, intent: Intent) -> None:
        given = isinstance(intent, Write) and intent.given_ids
        known = self._intents.living(intent.adds) if given else ()
        if store.shared:
            # The intent first: after that no process can finish it, so that its points may be
            # deleted whenever they arrive.
            self._cancel(intent, dead=() if given else intent.adds)
            intent.roll_back(store, known)
        else:
            intent.roll_back(store, known)
            self._cancel(intent)

    def _cancel(self, intent: Intent, dead: Sequence[str] = ()) -> None:
        self._intents.cancel(intent.id, dead=dead)
        self._settle("undone", intent.id)
