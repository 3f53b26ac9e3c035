"""The queue of texts that wait for a call to the embedder.

A text is sent at once while no call runs, or while calls are so quick that gathering texts would
cost more. Other texts wait, and go together into the next call. That call begins when all calls
have ended, or when the first of these texts has waited for half the duration of a call, at most
GATHER_S.
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
QUICK_S = 0.02  # while calls take less than this, texts are not gathered
MAX_BATCH_BYTES = 250_000  # of UTF-8 in one call: OpenAI takes 300,000 tokens


class PendingText:
    """A text that is being embedded, and the result for all callers who wait for it."""

    def __init__(self, text: str, caller: object) -> None:
        """`caller` identifies the first caller."""
        self.text = text
        self.caller = caller
        self.context = copy_context()  # of the first caller's request, for the log and the trace
        self.since = time.monotonic()
        self.joined = False
        """Whether other callers wait for it, too."""
        self.alone = False
        """Whether it must have a call of its own."""
        self.asked_by = "-"
        """The id of the request under which the call is logged."""
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
        """The vector. None where `caller` must ask again, because the call ended at the deadline of
        another caller.

        Raises the failure of the call, or ProviderTimeout at `deadline` (monotonic).
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
            # The failure itself is logged under the id of the other request.
            log.warning("%s in a call that was made for %s", failure.code, self.asked_by)
        raise failure


class BatchQueue:
    """The waiting texts, and the number of running calls. Its user must hold a lock."""

    def __init__(self, max_calls: int, max_batch: int) -> None:
        """At most `max_calls` run in parallel; each has at most `max_batch` texts."""
        self._max_calls = max_calls
        self._max_batch = max_batch
        self._waiting: list[PendingText] = []
        self._calls = 0
        self._took = 0.0  # seconds that the last call took

    def begins_at_once(self, texts: Sequence[PendingText]) -> bool:
        """Whether a call for `texts` may begin now; it then counts as running. If not, the texts
        are put into the queue."""
        quick = 0 < self._took < QUICK_S and self._calls < self._max_calls and not self._waiting
        if not self._calls or quick:
            self._calls += 1
            return True
        self._waiting += texts
        return False

    def put_first(self, texts: Sequence[PendingText]) -> None:
        """Put `texts` before all others, each for a call of its own."""
        for text in texts:
            text.alone = True
        self._waiting[:0] = texts

    def has_any(self, texts: Sequence[PendingText]) -> bool:
        return any(text in self._waiting for text in texts)

    def window(self) -> float:
        """How many seconds a text waits for others to join its call."""
        return min(self._took / 2, GATHER_S)

    def ended(self, seconds: float) -> list[list[PendingText]]:
        """Report that a call has ended, which took `seconds`. Returns the batches of the calls that
        begin now."""
        self._calls -= 1
        self._took = seconds
        return self.take() if not self._calls or self._is_due() else []

    def take(self) -> list[list[PendingText]]:
        """The batches of as many calls as may begin; they then count as running."""
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
