"""Shares one embedder between many callers: fewer calls, and a failure affects only its own caller.

A text in the cache is not sent. A text that is being embedded already is sent once for all callers
(single flight). Waiting texts go together into one call, see `batch_queue`. When the model refuses
a call with texts of several callers, each of these texts is sent again alone. No caller waits
longer than its own time limit.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.embeddings import Vector
from app.errors import OF_ONE_TEXT, ProviderBadAnswer
from app.observability.logs import request_id
from app.providers.batch_queue import BatchQueue, PendingText
from app.providers.cache import VectorCache

MAX_CALLS = 4  # in parallel
MAX_BATCH = 64  # texts in one call

Ask = Callable[[list[str]], list[Vector]]


class SharedEmbedder:
    """Embeds texts by `ask`, in fewer calls. Safe for many threads."""

    def __init__(
        self, ask: Ask, seconds: float, max_calls: int = MAX_CALLS, max_batch: int = MAX_BATCH
    ) -> None:
        """`seconds` is the longest that a caller waits; `ask` must have a limit of its own."""
        self._ask = ask
        self._seconds = seconds
        self._cache = VectorCache()
        self._changing = threading.Lock()
        self._pending: dict[str, PendingText] = {}
        self._queue = BatchQueue(max_calls, max_batch)
        self._threads = ThreadPoolExecutor(max_calls, "embedding")

    def __call__(self, texts: list[str]) -> list[Vector]:
        """The vectors of `texts`. Raises the failure of `ask` for one of them, or
        ProviderTimeout."""
        deadline = time.monotonic() + self._seconds
        caller = object()
        found: dict[str, Vector] = {}
        missing = [*dict.fromkeys(texts)]
        while missing:
            pending, mine = self._join(missing, caller, found)
            if mine:
                self._call(mine)
            else:
                self._gather(pending)
            answers = [(one.text, one.wait(caller, deadline)) for one in pending]
            found |= {text: vector for text, vector in answers if vector is not None}
            missing = [text for text, vector in answers if vector is None]
        # Copies, so that no caller can change the vector of another.
        return [[*found[text]] for text in texts]

    def _join(
        self, texts: Sequence[str], caller: object, found: dict[str, Vector]
    ) -> tuple[list[PendingText], list[PendingText]]:
        """Fill `found` from the cache. Returns the texts to wait for, and those among them that
        this caller must send now."""
        pending, new = [], []
        with self._changing:
            for text in texts:
                one = self._pending.get(text)
                if one is not None:
                    one.joined = True
                elif vector := self._cache.get(text):
                    found[text] = vector
                    continue
                else:
                    one = self._pending[text] = PendingText(text, caller)
                    new.append(one)
                pending.append(one)
            at_once = bool(new) and self._queue.begins_at_once(new)
        return pending, new if at_once else []

    def _gather(self, pending: Sequence[PendingText]) -> None:
        """Wait so that others can join the next call, then begin it."""
        if not pending or pending[0].is_answered_within(self._queue.window()):
            return
        with self._changing:
            batches = self._queue.take() if self._queue.has_any(pending) else []
        self._begin(batches)

    def _begin(self, batches: Sequence[list[PendingText]]) -> None:
        for batch in batches:
            self._threads.submit(batch[0].context.copy().run, self._call, batch)

    def _call(self, batch: list[PendingText]) -> None:
        """Embed `batch`, wake those who wait for it, and begin the next calls."""
        started = time.monotonic()
        for one in batch:
            one.asked_by = request_id.get()
        try:
            vectors = self._vectors([one.text for one in batch])
        except BaseException as failure:  # even one that ends this thread, since others wait
            self._failed(batch, failure)
        else:
            self._answered(batch, vectors)
        finally:
            with self._changing:
                batches = self._queue.ended(time.monotonic() - started)
            self._begin(batches)

    def _vectors(self, texts: list[str]) -> list[Vector]:
        vectors = self._ask(texts)
        if len(vectors) != len(texts):
            raise ProviderBadAnswer("The embedder gave another number of vectors than asked.")
        for text, vector in zip(texts, vectors, strict=True):
            self._cache.put(text, vector)
        return vectors

    def _answered(self, batch: Sequence[PendingText], vectors: Sequence[Vector]) -> None:
        with self._changing:
            self._forget(batch)
        for one, vector in zip(batch, vectors, strict=True):
            one.answer(vector)

    def _failed(self, batch: Sequence[PendingText], failure: BaseException) -> None:
        """Fail all texts of `batch`. Where one of them may have failed the others, queue each for a
        call of its own instead."""
        with self._changing:
            if _may_be_of_one(batch, failure):
                self._queue.put_first(batch)
                return
            self._forget(batch)
        for one in batch:
            one.fail(failure)

    def _forget(self, batch: Sequence[PendingText]) -> None:
        for one in batch:
            del self._pending[one.text]


def _may_be_of_one(batch: Sequence[PendingText], failure: BaseException) -> bool:
    """Whether one text may have failed the others, and they belong to several callers."""
    if len(batch) == 1 or type(failure) not in (*OF_ONE_TEXT, ProviderBadAnswer):
        return False
    return len({one.caller for one in batch}) > 1 or any(one.joined for one in batch)
