"""Which texts wait for a call to the embedder, which go together, and when their call begins.

A text is asked for at once while no call is under way, and while calls are so quick that to
gather texts would cost more. Any other text waits. What waits goes together into the next call:
when the last call ends, or when the first of these texts has waited for half the time of a
call, at most GATHER_S.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextvars import copy_context

from app.embeddings import Vector
from app.errors import ProviderTimeout, ServiceError
from app.observability.logs import request_id

log = logging.getLogger(__name__)

GATHER_S = 0.01
QUICK_S = 0.02  # a call that takes less, as it does while few ask, is not worth gathering for
MAX_BATCH_BYTES = 250_000  # of UTF-8 in one call: OpenAI takes 300,000 tokens


class PendingText:
    """One text that is being asked for, and the answer for all who wait for it."""

    def __init__(self, text: str, caller: object) -> None:
        """`caller` is whoever asked first."""
        self.text = text
        self.caller = caller
        self.context = copy_context()  # the request that asked for it, for the log and the trace
        self.since = time.monotonic()
        self.joined = False
        """Whether somebody else waits for it too."""
        self.alone = False
        """Whether it must have a call of its own."""
        self.asked_by = "-"
        """The id of the request whose log lines tell of the call."""
        self._vector: Vector = []
        self._failure: BaseException | None = None
        self._answered = threading.Event()

    def answer(self, vector: Vector) -> None:
        self._vector = vector
        self._answered.set()

    def fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._answered.set()

    def is_answered_within(self, seconds: float) -> bool:
        return self._answered.wait(seconds)

    def wait(self, caller: object, deadline: float) -> Vector | None:
        """Its vector. None where `caller` must ask again, since only another's time was up.

        Raises the failure, or ProviderTimeout at `deadline`, which is of `time.monotonic`.
        """
        if not self._answered.wait(max(0.0, deadline - time.monotonic())):
            raise ProviderTimeout("The embedder did not answer in time.")
        failure = self._failure
        if failure is None:
            return self._vector
        theirs = self.caller is not caller
        if type(failure) is ProviderTimeout and theirs and time.monotonic() < deadline:
            return None
        if isinstance(failure, ServiceError) and self.asked_by != request_id.get():
            # The model's own error is in the log under the other request's id.
            log.warning("%s in a call that was made for %s", failure.code, self.asked_by)
        raise failure


class BatchQueue:
    """The texts that wait, and how many calls are under way. Whoever uses it holds a lock."""

    def __init__(self, max_calls: int, max_batch: int) -> None:
        """`max_calls` run side by side; one asks for `max_batch` texts at most."""
        self._max_calls = max_calls
        self._max_batch = max_batch
        self._waiting: list[PendingText] = []
        self._calls = 0
        self._took = 0.0  # seconds, of the last call

    def begins_at_once(self, texts: Sequence[PendingText]) -> bool:
        """Whether `texts` may be asked for now, which then counts as a call; else they wait."""
        quick = 0 < self._took < QUICK_S and self._calls < self._max_calls and not self._waiting
        if not self._calls or quick:
            self._calls += 1
            return True
        self._waiting += texts
        return False

    def put_first(self, texts: Sequence[PendingText]) -> None:
        """Before all others, each in a call of its own."""
        for text in texts:
            text.alone = True
        self._waiting[:0] = texts

    def has_any(self, texts: Sequence[PendingText]) -> bool:
        return any(text in self._waiting for text in texts)

    def window(self) -> float:
        """Seconds that a text waits for others to join its call."""
        return min(self._took / 2, GATHER_S)

    def ended(self, seconds: float) -> list[list[PendingText]]:
        """A call took `seconds`: the batches of the calls that begin now."""
        self._calls -= 1
        self._took = seconds
        return self.take() if not self._calls or self._is_due() else []

    def take(self) -> list[list[PendingText]]:
        """The batches of as many calls as may begin, which then count as calls."""
        batches = []
        while self._waiting and self._calls < self._max_calls:
            self._calls += 1
            batches.append(self._next())
        return batches

    def _is_due(self) -> bool:
        return bool(self._waiting) and time.monotonic() - self._waiting[0].since >= self.window()

    def _next(self) -> list[PendingText]:
        size = count = 0
        for one in self._waiting[: self._max_batch]:
            size += len(one.text.encode("utf-8", "surrogatepass"))
            if count and (one.alone or size > MAX_BATCH_BYTES):
                break
            count += 1
            if one.alone:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch
