"""Every write leaves its intent in the history database before it touches the vectors.

The history rows then take the intent's place in one transaction. What a crash, a timeout or a
power cut leaves behind is settled from the intents, in their order:

- one that was done, on a store that may have lost what was not flushed: done once more;
- one of a deletion of many: finished, so that it is never seen half;
- any other: if the points show that it took place it is finished, else it never was.

From a failure until it is settled an intent is unsure. Nobody writes to its memories meanwhile:
whoever wants to settles it first (`clear_way`), or is told what keeps it from being settled. So
what is settled or done again never meets anything that was acknowledged after it.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path

from app.errors import (
    HistoryUnavailable,
    ServiceBusy,
    ServiceError,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.memory.answers import Answers
from app.memory.database import Database
from app.memory.intents import Intents, Part, StoredIntent
from app.memory.liveness import Liveness
from app.memory.locks import LOCK_S
from app.memory.stores.base import VectorStore
from app.memory.writes import Deletion, UnknownVersion, Write, read
from app.metrics import JOURNAL_SETTLED
from app.scopes import Scope

log = logging.getLogger(__name__)

DELETE_BATCH = 50_000  # in one call, so that nobody who looks meanwhile sees a part

Intent = Write | Deletion


class Journal:
    """The intents of one process, and what is left of those of dead ones."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        flushes: bool,
        delete_batch: int = DELETE_BATCH,
    ) -> None:
        """`folder` has the lock files of the living. `flushes`: the store is this process's
        own, and forgets in a power cut what was not flushed."""
        self._delete_batch = delete_batch
        self.answers = Answers(database)
        self.database = database
        self._intents = Intents(database)
        self._liveness = Liveness(folder)
        self._flushes = flushes
        self.process = self._liveness.process
        self._unsure: dict[str, tuple[Intent, bool]] = {}  # and whether the store was asked
        self._unreadable: set[int] = set()
        self._left_behind = True  # until everything of dead processes was settled once
        self._changing = threading.Lock()
        self._settling = threading.Lock()

    # ---- writing

    def write(self, store: VectorStore, intent: Write) -> None:
        """Carry out `intent` with its history. Raises what failed; then nothing is half done,
        or it will be settled when what failed answers again."""
        store.need_room()
        with self._unsure_unless_begun(intent):
            number = self._intents.begin(
                self.process, intent.id, intent.VERSION, intent.to_json(), repeat=intent.repeat
            )
        self._carry_out(intent, intent.steps(store), number)

    def delete(
        self,
        store: VectorStore,
        deletion: Deletion,
        parts: Iterable[Part],
        deleting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """The same for a deletion of many. The parts are read one after the other; `deleting` is
        held while the memories go."""
        store.need_room()
        first, second = next(read_on := iter(parts), None), next(read_on, None)
        with self._unsure_unless_begun(deletion):
            number = self._intents.begin(
                self.process,
                deletion.id,
                deletion.VERSION,
                deletion.to_json(),
                parts=[first] if first else [],
                collecting=second is not None,
            )
            if second is not None:
                for part in chain([second], read_on):
                    self._intents.append(number, part)
                self._intents.complete(number)
        steps = self._deletion_steps(store, deletion, number)
        self._carry_out(deletion, steps, number, deleting)

    @contextmanager
    def _unsure_unless_begun(self, intent: Intent) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._remember(intent, asked=False)  # it may be written down all the same
            raise

    def _carry_out(
        self,
        intent: Intent,
        steps: Iterable[Callable[[], None]],
        number: int,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        taken = 0
        try:
            with around():
                for step in steps:
                    step()
                    taken += 1
        except BaseException as error:
            unknown = isinstance(error, VectorStoreTimeout | VectorStoreUnavailable)
            if taken or (unknown and not isinstance(error, VectorStoreRefused)):
                self._remember(intent, asked=True)
            else:
                self._cancel(intent)
            raise
        try:
            self._finish(number, intent)
        except BaseException:
            self._remember(intent, asked=True)
            raise

    def _cancel(self, intent: Intent) -> None:
        try:
            self._intents.cancel(intent.id)
        except HistoryUnavailable:  # what failed before is what the caller is told
            self._remember(intent, asked=False)

    def _deletion_steps(
        self, store: VectorStore, deletion: Deletion, number: int
    ) -> Iterator[Callable[[], None]]:
        if not deletion.scope:
            yield store.clear
        for ids in self._intents.ids(number, self._delete_batch):
            yield lambda ids=ids: store.delete_many(ids)  # type: ignore[misc]  # bound now

    def _finish(self, number: int, intent: Intent) -> None:
        keep = self._flushes
        if isinstance(intent, Deletion):
            self._intents.finish_deletion(number, intent.scope, keep=keep, purge=intent.purge)
            return
        self._intents.finish(number, intent.rows, keep=keep, answer=intent.answer, said=intent.said)

    # ---- settling

    def clear_way(
        self,
        store: VectorStore,
        ids: Collection[str] = (),
        scope: Scope | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Before a write to the memories `ids`, or to new ones of `scope`, or with `whole` to
        all that are within it: settle what is unsure about them.

        Raises what keeps it from being settled; then nothing may be written there.
        """
        # Where the store is this process's own, nobody can die beside it later.
        if (not self._flushes or self._left_behind) and self._intents.writing_beside(self.process):
            with self._alone():
                self._settle_dead_ones(store)
        if not self._unsure:
            return
        with self._changing:
            met = [
                intent
                for intent, _ in self._unsure.values()
                if intent.touches(ids, scope, whole=whole)
            ]
        for intent in met:
            with self._alone():
                self._settle_unsure(store, intent.id)

    def clear_key(self, store: VectorStore, repeat: tuple[str, str]) -> None:
        """Settle what is unsure about the request with this idempotency key."""
        with self._changing:
            met = [
                intent.id
                for intent, _ in self._unsure.values()
                if isinstance(intent, Write) and intent.repeat == repeat
            ]
        for id_ in met:
            with self._alone():
                self._settle_unsure(store, id_)
        self.answers.release_held()

    def settle(self, store: VectorStore) -> None:
        """Settle what dead processes left, and what this one could not know. Goes on after a
        failure where that makes sense, and raises it."""
        failures = []
        with self._alone():
            self._settle_dead_ones(store)
            for id_ in [*self._unsure]:
                try:
                    self._settle_unsure(store, id_)
                except (VectorStoreTimeout, VectorStoreUnavailable, HistoryUnavailable):
                    raise  # it is so for all
                except ServiceError as failure:
                    failures.append(failure)
        self.answers.release_held()
        if failures:
            raise failures[0]

    def flushed(self, flush: Callable[[], None]) -> None:
        """Call `flush`, and forget the intents that it covers."""
        done = self._intents.done(self.process) if self._flushes else []
        if done:
            flush()
            self._intents.forget(done)

    @property
    def unsure(self) -> int:
        """How many writes wait to be settled."""
        return len(self._unsure)

    @property
    def unreadable(self) -> Sequence[int]:
        """The numbers of intents that a newer version left; they are kept for it."""
        return sorted(self._unreadable)

    def close(self) -> None:
        self._liveness.close()

    # ---- inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._settling.acquire(timeout=LOCK_S):
            raise ServiceBusy("An earlier write is still being settled; ask again.")
        try:
            yield
        finally:
            self._settling.release()

    def _settle_dead_ones(self, store: VectorStore) -> None:
        for process in self._intents.processes():
            if process != self.process:
                with self._liveness.if_dead(process) as dead:
                    if dead:
                        self._settle_dead(store, process)
        self._left_behind = False

    def _settle_dead(self, store: VectorStore, process: str) -> None:
        left = [*self._readable(self._intents.of(process))]
        # Asked before anything is done again: a put that is repeated would hide that a later
        # delete, which was cut off, had taken place.
        stands = {
            stored.number: stored.done or intent.took_effect(store, alone=self._flushes)
            for stored, intent in left
            if not stored.collecting
        }
        for stored, intent in left:
            if stands.get(stored.number):
                if self._flushes or isinstance(intent, Deletion):
                    self._do_again(store, intent, stored.number)
                self._settled(stored.number, intent, done=stored.done)
            else:
                if not stored.collecting:
                    intent.undo(store)
                self._intents.cancel(stored.id)
                _tell_undone()
        store.flush()
        self._intents.forget([*stands])
        self.answers.release_all(process)

    def _settle_unsure(self, store: VectorStore, id_: str) -> None:
        """One of this process; nothing where another thread was faster."""
        found = self._unsure.get(id_)
        if found is None:
            return
        intent, asked = found
        if not asked:
            self._intents.cancel(id_)
        elif number := self._intents.number(id_):
            self._settle_asked(store, intent, number)
        with self._changing:
            self._unsure.pop(id_, None)

    def _settle_asked(self, store: VectorStore, intent: Intent, number: int) -> None:
        if intent.took_effect(store, alone=self._flushes):
            if isinstance(intent, Deletion):
                self._do_again(store, intent, number)
        elif self._flushes and not intent.adds:
            # The engine's own log may have it, and would do it at the next start.
            self._do_again(store, intent, number)
        else:
            intent.undo(store)
            self._intents.cancel(intent.id)
            _tell_undone()
            return
        self._settled(number, intent)

    def _settled(self, number: int, intent: Intent, *, done: bool = False) -> None:
        if not done:
            self._finish(number, intent)
        JOURNAL_SETTLED.labels("finished").inc()
        log.info("a write that was cut off was finished")

    def _do_again(self, store: VectorStore, intent: Intent, number: int) -> None:
        if isinstance(intent, Deletion):
            for step in self._deletion_steps(store, intent, number):
                step()
            return
        if intent.embedder and intent.embedder.name:
            store.prepare(intent.embedder)
        for step in intent.steps(store, again=True):
            step()

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

    def _remember(self, intent: Intent, *, asked: bool) -> None:
        with self._changing:
            self._unsure[intent.id] = (intent, asked)


def _tell_undone() -> None:
    JOURNAL_SETTLED.labels("undone").inc()
    log.info("a write that did not take place was undone")
