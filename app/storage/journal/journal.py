"""Every write leaves its intent in the history database before it touches the vectors.

The history rows then take the intent's place in one transaction. What a crash, a timeout or a
power cut leaves behind is recovered from the intents, see recovery.py.

From a failure until it is recovered an intent is unsure. Nobody writes to its memories meanwhile:
whoever wants to recovers it first (`clear_way`), or is told what keeps it from being recovered. So
what is rolled back or done again never meets anything that was acknowledged after it.

Long because it is one class: everything that is written goes through it.
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
"""In one call, so that nobody who looks meanwhile sees a part. Edge holds every thread for it:
0.66 s for 50,000 ids among 100,000 memories, and nobody should wait half a second."""

Steps = AbstractContextManager[Iterator[Step]]
T = TypeVar("T")


class Journal:
    """The intents of one process, and what is left of those of dead ones."""

    def __init__(
        self,
        database: Database,
        liveness: Liveness,
        *,
        flushes: bool,
        shared: bool = False,
        delete_batch: int = DELETE_BATCH,
    ) -> None:
        """`flushes`: the store is this process's own, and forgets in a power cut what was not
        flushed. `shared`: processes on other hosts write to the same."""
        self.answers = Answers(database)
        self.database = database
        self._intents = Intents(database, catalogued=shared)
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
        """Carry out `intent` with its history. Raises what failed; then nothing is half done,
        or it will be recovered when what failed answers again."""
        store.check_disk_space()
        intent = guarded.as_read(store, intent)
        with self._unsure_unless_begun([intent]):
            number = self._intents.begin(
                self.process,
                intent.id,
                intent.VERSION,
                intent.to_json(),
                repeat=intent.repeat,
                under=self._sharing.under(intent),
            )
        self._carry_out(store, intent, number)

    def write_all(self, store: VectorStore, writes: Sequence[Write]) -> None:
        """The same for several that add memories: one call of the store and two transactions for
        all. Each is an intent of its own, so that each is recovered by itself."""
        store.check_disk_space()
        with self._unsure_unless_begun(writes):
            numbers = self._intents.begin_all(self.process, [*map(self._new, writes)])
        one_call = nullcontext(self._execution.together(store, writes))
        finish = partial(self._execution.finish_all, [*zip(numbers, writes, strict=True)])
        self._take(writes, one_call, finish)

    def delete(self, store: VectorStore, deletion: Deletion, parts: Iterable[Part]) -> Erased:
        """The same for a deletion of many. The parts are read one after the other. What it took
        from the history database."""
        store.check_disk_space()
        if not deletion.chosen:
            deletion = replace(deletion, last_job=self._jobs.last())
        first, second = next(read_on := iter(parts), None), next(read_on, None)
        rest = read_on if second is None else chain([second], read_on)
        with self._unsure_unless_begun([deletion]):
            number = self._begin(deletion, first, rest, collecting=second is not None)
        return self._carry_out(store, deletion, number)

    def _new(self, write: Write) -> NewIntent:
        body = write.to_json()
        return NewIntent(write.id, write.VERSION, body, write.repeat, self._sharing.under(write))

    def _begin(
        self, deletion: Deletion, first: Part | None, rest: Iterable[Part], *, collecting: bool
    ) -> int:
        under = self._sharing.under(deletion)
        number = self._intents.begin(
            self.process,
            deletion.id,
            deletion.VERSION,
            deletion.to_json(),
            first=first,
            collecting=collecting,
            under=under,
        )
        for part in rest:
            self._intents.append(number, part)
        if collecting:
            self._intents.complete(number, deletion.id, under)
        return number

    @contextmanager
    def _unsure_unless_begun(self, intents: Sequence[Intent]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._are_unsure(intents, asked=False)  # they may be written down all the same
            raise

    def _are_unsure(self, intents: Sequence[Intent], *, asked: bool) -> None:
        for intent in intents:
            self._unsure.add(intent, asked=asked)

    def _carry_out(self, store: VectorStore, intent: Intent, number: int) -> Erased:
        steps = self._execution.steps(store, intent, number)
        return self._take([intent], steps, partial(self._execution.finish, number, intent))

    def _take(self, intents: Sequence[Intent], steps: Steps, finish: Callable[[], T]) -> T:
        """Take the steps, then finish; what that gives."""
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
        except HistoryUnavailable:  # what failed before is what the caller is told
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
        """Before a write to the memories `ids`, or to new ones of `scope`, or with `whole` to
        all that are within it: recover what is unsure about them.

        Raises what keeps it from being recovered; then nothing may be written there.
        """
        self._recovery.recover_left_beside(store)
        self._recovery.recover_these(store, self._unsure.touching(ids, scope, whole=whole))

    def clear_way_of_all(self, store: VectorStore, scopes: Sequence[Scope]) -> None:
        """The same before a write to new memories of several scopes."""
        self._recovery.recover_left_beside(store)
        for scope in scopes:
            self._recovery.recover_these(store, self._unsure.touching((), scope, whole=False))

    def clear_key(self, store: VectorStore, repeat: tuple[str, str]) -> None:
        """Recover what is unsure about the request with this idempotency key."""
        self._recovery.recover_these(store, self._unsure.of_key(repeat))
        self.answers.release_held()

    def recover(self, store: VectorStore) -> None:
        """Recover what dead processes left, and what this one could not know. Goes on after a
        failure where that makes sense, and raises it."""
        failure = self._recovery.recover_all(store)
        self.answers.release_held()
        self._sharing.tidy(store)
        if failure:
            raise failure

    def flushed(self, flush: Callable[[], None]) -> None:
        """Call `flush`, and forget the intents that it covers."""
        done = self._intents.done(self.process) if self._flushes else []
        if done:
            flush()
            self._intents.forget(done)

    @property
    def process(self) -> str:
        """The id of this process: in the rows of what it is at."""
        return self.liveness.process

    @property
    def is_lost(self) -> bool:
        """See Liveness: then every write is refused."""
        return self.liveness.is_lost

    def begin_anew(self) -> None:
        """For one that is lost, while nobody writes: others settle what it was unsure about."""
        self._unsure.clear()
        self.liveness.begin_anew()

    @property
    def unsure(self) -> int:
        """How many writes wait to be recovered."""
        return len(self._unsure)

    @property
    def unreadable(self) -> Sequence[int]:
        """The numbers of intents that a newer version left; they are kept for it."""
        return self._recovery.unreadable

    def close(self) -> None:
        self.liveness.close()
