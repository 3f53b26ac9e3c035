"""Intents: what a write is about to do, kept until nothing can take it back.

Every write leaves its intent in the history database before it touches the vectors; the
history rows then take the intent's place in one transaction. What a crash, a timeout or a
power cut leaves behind is settled from the intents, in their order:

- one that was done, on a store that may have lost what was not flushed: done once more;
- one of a deletion of many: finished, so that it is never seen half;
- any other: if the points show that it took place it is finished, else it never was.

An intent names its process, which holds a file lock as long as it lives: only intents of dead
processes are settled by others, however old those of living ones are.
"""

import fcntl
import json
import logging
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from app.errors import HistoryUnavailable, ServiceError, VectorStoreTimeout, VectorStoreUnavailable
from app.memory.history import History, Said
from app.memory.payloads import Payload, new_id
from app.memory.stores.base import EmbedderInfo, Vector, VectorStore
from app.metrics import JOURNAL_SETTLED
from app.scopes import Scope

log = logging.getLogger(__name__)

DELETE_BATCH = 50_000  # in one call, so that nobody who looks meanwhile sees a part


@dataclass(frozen=True)
class Intent:
    """One write: points to put or to give another payload, or ids to delete, and its history."""

    rows: list[Payload]
    """History rows, written when it is done."""
    points: dict[str, tuple[Vector | None, Payload]] = field(default_factory=dict)
    """By id; without a vector only the payload changes."""
    deleted: list[str] = field(default_factory=list)
    embedder: EmbedderInfo | None = None
    scope: Scope | None = None
    """Of a delete_all: its conversations go as well; {} is a reset."""
    purge: bool = False
    repeat: tuple[str, str] | None = None
    """Of an add with an idempotency key: who asked, and the key."""
    answer: str | None = None
    said: Said = field(default_factory=list)
    """What an LLM will be given of the conversation next time, see History.save_messages."""

    def apply(self, store: VectorStore) -> None:
        """Any number of times with the same result."""
        if self.scope == {}:
            store.clear()
        vectors = {id_: (v, payload) for id_, (v, payload) in self.points.items() if v is not None}
        store.put(vectors)
        for id_, (vector, payload) in self.points.items():
            if vector is None:
                store.overwrite_payload(id_, payload)
        for start in range(0, len(self.deleted), DELETE_BATCH):
            store.delete_many(self.deleted[start : start + DELETE_BATCH])

    def stands(self, store: VectorStore, *, alone: bool) -> bool:
        """Whether it is to be finished: a deletion of many always, any other where the points
        show that it took place; each write gives a memory a time of its own.

        Unless this process is `alone`, a reset too must show: others may have added since.
        """
        if self.scope == {}:
            return alone or not store.count({})
        if self.scope is not None:
            return True
        found = {record.id: record.payload for record in store.get_many([*self.points])}
        changed = all(
            found.get(id_, {}).get("updated_at") == payload["updated_at"]
            for id_, (_, payload) in self.points.items()
        )
        return changed and not (self.deleted and store.get_many(self.deleted))

    def undo(self, store: VectorStore) -> None:
        """Make sure that an add which is not there does not arrive late."""
        store.delete_many([row["memory_id"] for row in self.rows if row["event"] == "ADD"])

    def to_json(self) -> str:
        points = {
            id_: (None if vector is None else _packed(vector), payload)
            for id_, (vector, payload) in self.points.items()
        }
        embedder = self.embedder and [self.embedder.name, self.embedder.dimensions]
        return json.dumps({**vars(self), "points": points, "embedder": embedder})

    @classmethod
    def from_json(cls, text: str) -> "Intent":
        given = json.loads(text)
        given["embedder"] = given["embedder"] and EmbedderInfo(*given["embedder"])
        given["points"] = {
            id_: (None if packed is None else _unpacked(packed), payload)
            for id_, (packed, payload) in given["points"].items()
        }
        return cls(**given)


def _packed(vector: Vector) -> str:
    return b64encode(np.asarray(vector, np.float32).tobytes()).decode()


def _unpacked(text: str) -> Vector:
    vector: Vector = np.frombuffer(b64decode(text), np.float32).tolist()
    return vector


class Journal:
    """The intents of one process, and what is left of those of dead ones."""

    def __init__(self, history: History, folder: Path, *, flushes: bool) -> None:
        """`folder` has the lock files. `flushes`: the store is this process's own, and forgets
        in a power cut what was not flushed."""
        self._history = history
        self._folder = folder
        self._flushes = flushes
        self.process = new_id()
        folder.mkdir(parents=True, exist_ok=True)
        self._life = _locked(self._file(self.process))
        self._unsure: set[int] = set()
        self._changing = threading.Lock()
        self._settling = threading.Lock()

    def write(self, store: VectorStore, intent: Intent) -> None:
        """Carry out `intent` with its history. Raises what failed; then nothing is half done,
        or it will be settled when what failed answers again."""
        store.need_room()
        number = self._history.begin(self.process, intent.to_json(), intent.repeat)
        try:
            intent.apply(store)
        except (VectorStoreTimeout, VectorStoreUnavailable):
            self._remember(number)  # it may have been carried out all the same
            raise
        except BaseException:
            self._history.cancel(number)
            raise
        try:
            self._finish(number, intent)
        except HistoryUnavailable:
            self._remember(number)
            raise

    def settle(self, store: VectorStore) -> None:
        """Settle what dead processes left, and what this one could not know."""
        with self._settling:
            for process in self._history.processes():
                if process == self.process:
                    continue
                with _if_dead(self._file(process)) as dead:
                    if dead:
                        self._settle_dead(store, process)
            with self._changing:
                unsure = set(self._unsure)
            for number, done, text in self._history.intents(self.process) if unsure else ():
                if number in unsure:
                    intent = Intent.from_json(text)
                    # Not again what took place: others may have written since.
                    again = intent.scope is not None
                    stands = intent.stands(store, alone=self._flushes)
                    self._settle(store, number, intent, done=done, stands=stands, again=again)
                    with self._changing:
                        self._unsure.discard(number)

    def flushed(self, flush: Callable[[], None]) -> None:
        """Call `flush`, and forget the intents that it covers."""
        done = self._history.done(self.process) if self._flushes else []
        if done:
            flush()
            self._history.forget(done)

    def checkpoint(self) -> None:
        """Keep the history's log short, so that no commit has to."""
        self._history.checkpoint()

    def close(self) -> None:
        self._file(self.process).unlink(missing_ok=True)
        self._life.close()

    # ---- inside

    def _settle_dead(self, store: VectorStore, process: str) -> None:
        left = [
            (n, done, Intent.from_json(text)) for n, done, text in self._history.intents(process)
        ]
        # Asked before anything is done again: a put that is repeated would hide that a later
        # delete, which was cut off, had taken place.
        alone = self._flushes
        stands = {n: done or intent.stands(store, alone=alone) for n, done, intent in left}
        for number, done, intent in left:
            again = self._flushes or intent.scope is not None
            self._settle(store, number, intent, done=done, stands=stands[number], again=again)
        store.flush()
        self._history.forget([*stands])
        self._history.release_all(process)

    def _settle(
        self,
        store: VectorStore,
        number: int,
        intent: Intent,
        *,
        done: bool,
        stands: bool,
        again: bool,
    ) -> None:
        known = intent.embedder or store.embedder()
        if known and known.name:
            store.prepare(known)
        if not stands:
            intent.undo(store)
            self._history.cancel(number)
            JOURNAL_SETTLED.labels("undone").inc()
            log.info("a write that did not take place was undone")
            return
        if again:
            _again(intent, store).apply(store)
        self._finish(number, intent, done=done)
        JOURNAL_SETTLED.labels("finished").inc()
        log.info("a write that was cut off was finished")

    def _finish(self, number: int, intent: Intent, *, done: bool = False) -> None:
        self._history.finish(
            number,
            [] if done else intent.rows,
            keep=self._flushes,
            forget=intent.scope,
            purge=intent.purge,
            answer=intent.answer,
            said=() if done else intent.said,
        )

    def _remember(self, number: int) -> None:
        with self._changing:
            self._unsure.add(number)

    def _file(self, process: str) -> Path:
        return self._folder / f"{process}.lock"


def _again(intent: Intent, store: VectorStore) -> Intent:
    """Without new payloads for memories that a later write deleted."""
    there = {record.id for record in store.get_many([*intent.points])}
    points = {
        id_: (vector, payload)
        for id_, (vector, payload) in intent.points.items()
        if vector is not None or id_ in there
    }
    return Intent(**{**vars(intent), "points": points})


def _locked(path: Path) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


@contextmanager
def _if_dead(path: Path) -> Iterator[bool]:
    """Whether the process of this lock file is gone; holds the lock so that one looks at a time."""
    try:
        file = _locked(path)
    except BlockingIOError:
        yield False
        return
    with file:
        yield True
        path.unlink(missing_ok=True)


class Caretaker:
    """A thread that settles, flushes and tidies every so often, and at once when it is started."""

    def __init__(self, journal: Journal, store: VectorStore, seconds: float) -> None:
        self._journal = journal
        self._store = store
        self._seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._journal.settle(self._store)
                self._journal.flushed(self._store.flush)
                self._journal.checkpoint()
            except ServiceError as error:
                log.warning("not settled yet: %s", error.code)
            if self._end.wait(self._seconds):
                return
