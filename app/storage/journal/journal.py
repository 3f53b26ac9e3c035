"""The journal: every write stores its intent in the history database before it touches the vectors.

After the vectors, the history rows replace the intent in one transaction. Writes that a crash, a
timeout or a power cut interrupts are recovered from their intents, see recovery.py.

From its failure until its recovery an intent is unsure. No writer touches its memories meanwhile: a
writer first recovers it (`clear_way`), or fails with the reason why that is not possible. So a
rollback or a redo never affects anything that was acknowledged after the intent.

Long because it is one class: all writes go through it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TypeVar

from app.errors import (
    HistoryUnavailable,
    VectorStoreRefused,
    VectorStoreTimeout,
    VectorStoreUnavailable,
)
from app.security.scopes import Scope
from app.storage.history.answers import Answers
from app.storage.history.database import Database
from app.storage.history.erased import Erased
from app.storage.history.intents import Intents
from app.storage.history.jobs import Jobs
from app.storage.history.parts import Part
from app.storage.history.together import NewIntent
from app.storage.journal import guarded
from app.storage.journal.execution import Execution, Step
from app.storage.journal.liveness import Liveness
from app.storage.journal.recovery import Recovery
from app.storage.journal.sharing import Alone, InFleet
from app.storage.journal.unsure import Unsure
from app.storage.journal.writes import Deletion, Intent, Write
from app.storage.vectors.store import VectorStore

DELETE_BATCH = 25_000
"""The most ids that one call deletes. Within one call no reader sees a part of a deletion. Edge
stops all threads during a call, 0.66 s for 50,000 ids among 100,000 memories, so it is not more."""

Steps = AbstractContextManager[Iterator[Step]]
T = TypeVar("T")


class Journal:
    """Writes by intents, and recovers the intents of this process and of dead ones."""

    def __init__(
        self,
        database: Database,
        liveness: Liveness,
        *,
        flushes: bool,
        shared: bool = False,
        catalogued: bool = False,
        delete_batch: int = DELETE_BATCH,
    ) -> None:
        """`flushes`: a power cut loses what this process did not flush to its own store. `shared`:
        others write to the same stores. `catalogued`: writes update the catalogue, too."""
        self.answers = Answers(database)
        self.database = database
        self.catalogued = catalogued
        self._intents = Intents(database, catalogued=catalogued)
        self._jobs = Jobs(database)
        self.liveness = liveness
        self._flushes = flushes
        self._sharing = InFleet(database, lambda: self.process) if shared else Alone()
        self.locks, self.listings = self._sharing.locks, self._sharing.listings
        self._unsure = Unsure()
        self._execution = Execution(
            self._intents, self.listings, keep=flushes, delete_batch=delete_batch
        )
        self._recovery = Recovery(
            self._intents,
            self.answers,
            self.liveness,
            self._execution,
            self._unsure,
            flushes=flushes,
        )

    # ---- writing

    def write(self, store: VectorStore, intent: Write) -> None:
        """Carry out `intent` with its history. Raises the failure; the write is then undone, or it
        is unsure until the store or the database answers again and it is recovered."""
        store.check_disk_space()
        intent = guarded.as_read(store, intent)
        with self._unsure_unless_begun([intent]):
            number = self._intents.begin(self.process, self._new(intent))
        self._carry_out(store, intent, number)

    def write_all(self, store: VectorStore, writes: Sequence[Write]) -> None:
        """Carry out several writes that only add memories, with one call of the store and two
        transactions. Each is an intent, so that each is recovered by itself."""
        store.check_disk_space()
        with self._unsure_unless_begun(writes):
            numbers = self._intents.begin_all(self.process, [*map(self._new, writes)])
        one_call = nullcontext(self._execution.together(store, writes))
        finish = partial(self._execution.finish_all, [*zip(numbers, writes, strict=True)])
        self._take(writes, one_call, finish)

    def delete(self, store: VectorStore, deletion: Deletion, parts: Iterable[Part]) -> Erased:
        """Carry out a deletion of many memories, which come in `parts` that are read one by one.
        Returns what a purge erased."""
        store.check_disk_space()
        if not deletion.chosen:
            deletion = replace(deletion, last_job=self._jobs.last())
        first, second = next(read_on := iter(parts), None), next(read_on, None)
        rest = read_on if second is None else chain([second], read_on)
        with self._unsure_unless_begun([deletion]):
            number = self._begin(deletion, first, rest, collecting=second is not None)
        return self._carry_out(store, deletion, number)

    def _new(self, intent: Intent) -> NewIntent:
        body, under = intent.to_json(), self._sharing.under(intent)
        return NewIntent(intent.id, intent.VERSION, body, intent.repeat, under)

    def _begin(
        self, deletion: Deletion, first: Part | None, rest: Iterable[Part], *, collecting: bool
    ) -> int:
        new = self._new(deletion)
        number = self._intents.begin(self.process, new, first=first, collecting=collecting)
        for part in rest:
            self._intents.append(number, part)
        if collecting:
            self._intents.complete(number, new.id, new.under)
        return number

    @contextmanager
    def _unsure_unless_begun(self, intents: Sequence[Intent]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._are_unsure(intents, asked=False)  # the transaction may have been committed
            raise

    def _are_unsure(self, intents: Sequence[Intent], *, asked: bool) -> None:
        for intent in intents:
            self._unsure.add(intent, asked=asked)

    def _carry_out(self, store: VectorStore, intent: Intent, number: int) -> Erased:
        steps = self._execution.steps(store, intent, number)
        return self._take([intent], steps, partial(self._execution.finish, number, intent))

    def _take(self, intents: Sequence[Intent], steps: Steps, finish: Callable[[], T]) -> T:
        """Make the calls `steps`, then `finish`, whose result is returned."""
        taken = 0
        try:
            with steps as calls:
                for step in calls:
                    self.liveness.check()
                    step()
                    taken += 1
        except BaseException as error:
            unknown = isinstance(error, VectorStoreTimeout | VectorStoreUnavailable)
            if taken or (unknown and not isinstance(error, VectorStoreRefused)):
                self._are_unsure(intents, asked=True)
            else:
                for intent in intents:
                    self._cancel(intent)
            raise
        try:
            done = finish()
        except BaseException:
            self._are_unsure(intents, asked=True)
            raise
        self._sharing.are_finished(intents)
        return done

    def _cancel(self, intent: Intent) -> None:
        try:
            self._intents.cancel(intent.id)
        except HistoryUnavailable:  # the caller gets the first failure
            self._unsure.add(intent, asked=False)

    # ---- recovery

    def clear_way(
        self,
        store: VectorStore,
        ids: Collection[str] = (),
        scope: Scope | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Recover the unsure intents about certain memories, which must be done before a write to
        them: the memories `ids`, new ones in `scope`, or with `whole` all in `scope`.

        Raises the failure of the recovery; then nothing may be written there.
        """
        self._recovery.recover_left_beside(store)
        self._recovery.recover_these(store, self._unsure.touching(ids, scope, whole=whole))

    def clear_own_way(self, store: VectorStore, memory_id: str) -> None:
        """Recover what this process is unsure about a memory, before it waits for others: who came
        before may be waiting for that."""
        self._recovery.recover_these(store, self._unsure.touching([memory_id], None, whole=False))

    def clear_way_of_all(self, store: VectorStore, scopes: Sequence[Scope]) -> None:
        """Recover the unsure intents about new memories in several scopes."""
        self._recovery.recover_left_beside(store)
        for scope in scopes:
            self._recovery.recover_these(store, self._unsure.touching((), scope, whole=False))

    def clear_key(self, store: VectorStore, repeat: tuple[str, str]) -> None:
        """Recover the unsure intents of the request with this caller and idempotency key."""
        self._recovery.recover_these(store, self._unsure.of_key(repeat))
        self.answers.release_held()

    def recover(self, store: VectorStore) -> None:
        """Recover all intents of dead processes, and all unsure ones of this process. After a
        failure of one it goes on with the others where that makes sense, and raises it at last."""
        failure = self._recovery.recover_all(store)
        self.answers.release_held()
        self._sharing.tidy(store)
        if failure:
            raise failure

    def flushed(self, flush: Callable[[], None]) -> None:
        """Call `flush`, and delete the finished intents that it makes durable."""
        done = self._intents.done(self.process) if self._flushes else []
        if done:
            flush()
            self._intents.forget(done)

    @property
    def process(self) -> str:
        """The id of this process, which is in the rows of its intents."""
        return self.liveness.process

    @property
    def is_lost(self) -> bool:
        """Whether this process lost its lease, see Liveness; every write is then refused."""
        return self.liveness.is_lost

    def begin_anew(self) -> None:
        """Get a new id, after this process lost its lease and while it writes nothing. Others
        recover the intents of the old id."""
        self._unsure.clear()
        self.liveness.begin_anew()

    @property
    def unsure(self) -> int:
        """How many intents of this process wait to be recovered."""
        return len(self._unsure)

    @property
    def unreadable(self) -> Sequence[int]:
        """The numbers of intents of a newer version, which are kept for it."""
        return self._recovery.unreadable

    def close(self) -> None:
        self.liveness.close()
