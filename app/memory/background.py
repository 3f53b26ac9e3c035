"""Work on stored memories beside the requests: a step after the other, on half a core at most."""

import logging
import threading
import time
from collections.abc import Callable

from app.errors import ServiceError

log = logging.getLogger(__name__)

PAUSE_S = 10.0  # after a failure of what a step needs
TOLD_S = 30.0  # between two lines of the log


class Background:
    """A thread for one kind of work, while there is any."""

    def __init__(self, name: str, step: Callable[[], bool], progress: Callable[[], str]) -> None:
        """`step` does a little and says whether more may be left. It is called again some time
        after it raised a ServiceError. `name` and `progress` are for the log."""
        self._name = name
        self._step = step
        self._progress = progress
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def begin(self) -> None:
        """Unless it is at work already."""
        with self._changing:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for the step that is at work; no other follows."""
        self._closing.set()
        with self._changing:
            thread = self._thread
        if thread:
            thread.join()

    def _run(self) -> None:
        told = 0.0
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                if not self._step():
                    break
            except ServiceError as error:
                log.warning("%s waits: %s: %s", self._name, error.code, error.detail)
                self._closing.wait(PAUSE_S)
                continue
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                log.info("%s: %s", self._name, self._progress())
            self._closing.wait(time.monotonic() - started)  # as long as it worked: half a core
        with self._changing:
            self._thread = None
