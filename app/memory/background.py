"""Background work on stored memories: step by step, on half a core at most."""

import logging
import threading
import time
from collections.abc import Callable

from app.errors import ServiceError

log = logging.getLogger(__name__)

PAUSE_S = 10.0  # after a step that failed with a ServiceError
LOG_S = 30.0  # between two log lines about the progress


class Background:
    """A thread for one kind of work; it lives while there is work."""

    def __init__(self, name: str, step: Callable[[], bool], progress: Callable[[], str]) -> None:
        """`step` does a part of the work and returns whether more may be left. After a ServiceError
        it is called again, PAUSE_S later. `name` and `progress` are for the log."""
        self._name = name
        self._step = step
        self._progress = progress
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def begin(self) -> None:
        """Start the thread, unless it runs already."""
        with self._changing:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for the current step; no further one is made."""
        self._closing.set()
        with self._changing:
            thread = self._thread
        if thread:
            thread.join()

    def _run(self) -> None:
        logged = 0.0
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                if not self._step():
                    break
            except ServiceError as error:
                log.warning("%s waits: %s: %s", self._name, error.code, error.detail)
                self._closing.wait(PAUSE_S)
                continue
            if time.monotonic() - logged > LOG_S:
                logged = time.monotonic()
                log.info("%s: %s", self._name, self._progress())
            self._closing.wait(time.monotonic() - started)  # as long as the step took: half a core
        with self._changing:
            self._thread = None
