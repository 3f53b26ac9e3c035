"""One embedder for many callers: what is known is not asked again, what can wait goes together.

A text that comes alone is asked for at once, in its caller's own thread, and so are a few at a
time while calls are so quick that to gather would cost more. Else what comes while a call is under
way goes together into the next, which begins half a call's time later, and at the latest after
GATHER_S. Nobody's failure is another's: what a model refuses in a common call is asked for
again text by text, and each caller waits no longer than its own time limit, whatever the others
do.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from app.errors import ProviderBadAnswer, ProviderRefused, ProviderTimeout, ServiceError
from app.logs import request_id
from app.memory.stores.base import Vector

log = logging.getLogger(__name__)

AT_ONCE = 4
GATHER_S = 0.01
QUICK_S = 0.02  # a call that takes less, as it does while few ask, is not worth gathering for
TOGETHER = 64  # texts of one common call
TOGETHER_BYTES = 250_000  # and their size: OpenAI takes 300,000 tokens
CACHE_BYTES = 16 * 2**20  # 2,600 vectors of 1536 numbers

Array = NDArray[np.float32]
Ask = Callable[[list[str]], list[Vector]]


class Cache:
    """Vectors by text, the least recently used dropped beyond so many bytes.

    Keeps digests and not texts: those of a deleted user would else live on in here.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._size = 0
        self._vectors: OrderedDict[bytes, Array] = OrderedDict()
        self._changing = threading.Lock()

    def get(self, text: str) -> Vector | None:
        """A list of the caller's own."""
        key = _digest(text)
        with self._changing:
            found = self._vectors.get(key)
            if found is None:
                return None
            self._vectors.move_to_end(key)
        vector: Vector = found.tolist()
        return vector

    def put(self, text: str, vector: Vector) -> None:
        """Keep `vector`, unless it is empty, not finite, or of another size than the first."""
        array = np.asarray(vector, np.float32)
        if not array.size or not np.isfinite(array).all():
            return
        key = _digest(text)
        with self._changing:
            self._size = self._size or array.size
            if array.size != self._size:
                return
            if key not in self._vectors:
                self._bytes += array.nbytes
            self._vectors[key] = array
            while self._bytes > self._max:
                self._bytes -= self._vectors.popitem(last=False)[1].nbytes


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Asked:
    """One text that is being asked for, and the answer for all who want it."""

    def __init__(self, text: str, caller: object) -> None:
        self.text = text
        self.caller = caller
        self.context = copy_context()  # the request that asked for it, for the log and the trace
        self.asked_by = "-"
        self.vector: Vector = []
        self.failure: BaseException | None = None
        self.answered = threading.Event()
        self.since = time.monotonic()
        self.joined = False
        self.alone = False


class SharedEmbedder:
    """Texts to vectors, as `ask` does it, with fewer calls. Safe for many threads."""

    def __init__(
        self, ask: Ask, seconds: float, at_once: int = AT_ONCE, together: int = TOGETHER
    ) -> None:
        """`seconds` is how long a caller waits at most; `ask` keeps a limit of its own."""
        self._ask = ask
        self._seconds = seconds
        self._at_once = at_once
        self._together = together
        self._cache = Cache()
        self._changing = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._queue: list[_Asked] = []
        self._calls = 0
        self._took = 0.0
        self._threads = ThreadPoolExecutor(at_once, "embedding")

    def __call__(self, texts: list[str]) -> list[Vector]:
        """Raises what `ask` raises for one of `texts`, or ProviderTimeout."""
        deadline = time.monotonic() + self._seconds
        caller = object()
        found: dict[str, Vector] = {}
        missing = [*dict.fromkeys(texts)]
        while missing:
            asked, mine = self._join(missing, caller, found)
            if mine:
                self._call(mine)
            else:
                self._gather(asked)
            answers = [(one.text, _wait(one, caller, deadline)) for one in asked]
            found |= {text: vector for text, vector in answers if vector is not None}
            missing = [text for text, vector in answers if vector is None]
        # A list for each place: nobody can change what is another's.
        return [[*found[text]] for text in texts]

    def _join(
        self, texts: Sequence[str], caller: object, found: dict[str, Vector]
    ) -> tuple[list[_Asked], list[_Asked]]:
        """Fill `found` from the cache; what else to wait for, and what of it to ask for now."""
        asked, new = [], []
        with self._changing:
            for text in texts:
                one = self._asked.get(text)
                if one is not None:
                    one.joined = True
                elif vector := self._cache.get(text):
                    found[text] = vector
                    continue
                else:
                    one = self._asked[text] = _Asked(text, caller)
                    new.append(one)
                asked.append(one)
            if new and (not self._calls or self._is_quick()):
                self._calls += 1
                return asked, new
            self._queue += new
            return asked, []

    def _gather(self, asked: Sequence[_Asked]) -> None:
        """Give others the time to join the next call, then let it begin."""
        if not asked or asked[0].answered.wait(self._window()):
            return
        with self._changing:
            if any(one in self._queue for one in asked):
                self._begin()

    def _is_quick(self) -> bool:
        """Whether one more call beside those under way is better than a common one."""
        return 0 < self._took < QUICK_S and self._calls < self._at_once and not self._queue

    def _window(self) -> float:
        return min(self._took / 2, GATHER_S)

    def _call(self, batch: list[_Asked]) -> None:
        """Ask for `batch` and tell all who wait for it; then let the next calls begin."""
        started = time.monotonic()
        _note_who_asks(batch)
        try:
            vectors = self._ask([one.text for one in batch])
            if len(vectors) != len(batch):
                raise ProviderBadAnswer("The embedder gave another number of vectors than asked.")
            for one, vector in zip(batch, vectors, strict=True):
                self._cache.put(one.text, vector)
            self._forget(batch)
            for one, vector in zip(batch, vectors, strict=True):
                one.vector = vector
                one.answered.set()
        except BaseException as failure:
            if not self._asks_again(batch, failure):
                for one in batch:
                    one.failure = failure
                    one.answered.set()
        finally:
            with self._changing:
                self._calls -= 1
                self._took = time.monotonic() - started
                if not self._calls or self._is_due():
                    self._begin()

    def _forget(self, batch: list[_Asked]) -> None:
        with self._changing:
            for one in batch:
                del self._asked[one.text]

    def _asks_again(self, batch: list[_Asked], failure: BaseException) -> bool:
        """Whether each text of `batch` will be asked for alone: one of them may have failed all,
        and they are not of one caller."""
        may_be_one = type(failure) in (ProviderRefused, ProviderBadAnswer)
        with self._changing:
            common = len({one.caller for one in batch}) > 1 or any(one.joined for one in batch)
            if may_be_one and common and len(batch) > 1:
                for one in batch:
                    one.alone = True
                self._queue[:0] = batch
                return True
            for one in batch:
                del self._asked[one.text]
            return False

    def _is_due(self) -> bool:
        """Whether the first of the queue has waited for others long enough."""
        return bool(self._queue) and time.monotonic() - self._queue[0].since >= self._window()

    def _begin(self) -> None:
        """The next calls, as many as may be; under the lock."""
        while self._queue and self._calls < self._at_once:
            self._calls += 1
            batch = self._next()
            self._threads.submit(batch[0].context.copy().run, self._call, batch)

    def _next(self) -> list[_Asked]:
        size = count = 0
        for one in self._queue[: self._together]:
            size += len(one.text.encode("utf-8", "surrogatepass"))
            if count and (one.alone or size > TOGETHER_BYTES):
                break
            count += 1
            if one.alone:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch


def _note_who_asks(batch: Sequence[_Asked]) -> None:
    for one in batch:
        one.asked_by = request_id.get()


def _wait(asked: _Asked, caller: object, deadline: float) -> Vector | None:
    """The answer; None where it is to be asked again: the time was up for another caller only."""
    if not asked.answered.wait(max(0.0, deadline - time.monotonic())):
        raise ProviderTimeout("The embedder did not answer in time.")
    failure = asked.failure
    if failure is None:
        return asked.vector
    theirs = asked.caller is not caller
    if type(failure) is ProviderTimeout and theirs and time.monotonic() < deadline:
        return None
    if isinstance(failure, ServiceError) and asked.asked_by != request_id.get():
        # Whose lines have the model's own error.
        log.warning("%s in a call that was made for %s", failure.code, asked.asked_by)
    raise failure
