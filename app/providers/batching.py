"""One embedder for many callers: fewer calls, and nobody's failure is another's.

A text that is in the cache is not asked for. A text that somebody asks for already is asked for
once, for both (single flight). Texts that wait go together into one call: see `batch_queue`.
When a model refuses a call of several callers, each of its texts is asked for again alone. Each
caller waits no longer than its own time limit, whatever the others do.
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

MAX_CALLS = 4  # side by side
MAX_BATCH = 64  # texts of one call

Ask = Callable[[list[str]], list[Vector]]


class SharedEmbedder:
    """Texts to vectors, as `ask` does it, with fewer calls. Safe for many threads."""

    def __init__(
        self, ask: Ask, seconds: float, max_calls: int = MAX_CALLS, max_batch: int = MAX_BATCH
    ) -> None:
        """`seconds` is how long a caller waits at most; `ask` keeps a limit of its own."""
        self._ask = ask
        self._seconds = seconds
        self._cache = VectorCache()
        self._changing = threading.Lock()
        self._pending: dict[str, PendingText] = {}
        self._queue = BatchQueue(max_calls, max_batch)
        self._threads = ThreadPoolExecutor(max_calls, "embedding")

    def __call__(self, texts: list[str]) -> list[Vector]:
        """Raises what `ask` raises for one of `texts`, or ProviderTimeout."""
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
        # A list for each place: nobody can change what is another's.
        return [[*found[text]] for text in texts]

    def _join(
        self, texts: Sequence[str], caller: object, found: dict[str, Vector]
    ) -> tuple[list[PendingText], list[PendingText]]:
        """Fill `found` from the cache; what else to wait for, and what of it to ask for now."""
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
        """Give others the time to join the next call, then let it begin."""
        if not pending or pending[0].is_answered_within(self._queue.window()):
            return
        with self._changing:
            batches = self._queue.take() if self._queue.has_any(pending) else []
        self._begin(batches)

    def _begin(self, batches: Sequence[list[PendingText]]) -> None:
        for batch in batches:
            self._threads.submit(batch[0].context.copy().run, self._call, batch)

    def _call(self, batch: list[PendingText]) -> None:
        """Ask for `batch` and tell all who wait for it; then let the next calls begin."""
        started = time.monotonic()
        for one in batch:
            one.asked_by = request_id.get()
        try:
            vectors = self._vectors([one.text for one in batch])
        except BaseException as failure:  # also one that ends this thread: others wait for it
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
        """Tell all who wait; or have each text asked for alone, where one may have failed all."""
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
    """Whether one text may have failed the others, and they are not of one caller alone."""
    if len(batch) == 1 or type(failure) not in (*OF_ONE_TEXT, ProviderBadAnswer):
        return False
    return len({one.caller for one in batch}) > 1 or any(one.joined for one in batch)
