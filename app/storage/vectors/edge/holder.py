"""A lock on the folder of the embedded store: one process at a time has it open.

Edge has a lock of its own, but takes it late. Before that it reads and repairs files, after which
the process that has the folder open can no longer flush ("Tracker journal is shorter than
expected", qdrant-edge-py 0.9). So this lock is taken before Edge opens the folder.
"""

import fcntl
import logging
import time
from contextlib import suppress
from pathlib import Path

from app.config import hands_over, service_name
from app.errors import NotYet, StartupError

log = logging.getLogger(__name__)

TAKEOVER_S = 10.0  # the worker of a killed server releases the lock within a second


class Holder:
    """Holds the lock on `folder` until it is closed, or its process ends."""

    def __init__(self, folder: Path, patience_s: float) -> None:
        """Waits up to 10 s for a dying process to release the lock, and up to `patience_s` for the
        worker that this one replaces, which still answers requests.

        Raises NotYet after that wait, so that the next worker waits on; StartupError; OSError.
        """
        # Mode "a" keeps the name that the holder wrote, which waiting processes read.
        self._file = folder.with_name(f"{folder.name}.holder").open("a")
        try:
            self._wait(folder, patience_s)
        except BaseException:
            self.close()
            raise
        with suppress(OSError):  # on a full disk; the next worker then waits only TAKEOVER_S
            self._file.truncate(0)
            self._file.write(service_name())
            self._file.flush()

    def close(self) -> None:
        with suppress(OSError):  # on a full disk the close tries to write again
            self._file.close()

    def _wait(self, folder: Path, patience_s: float) -> None:
        started = time.monotonic()
        is_said = False
        while not self._is_taken():
            waited = time.monotonic() - started
            if self._is_predecessors():
                if not is_said:
                    log.info("waiting for the worker before this one to let go of %s", folder)
                    is_said = True
                if waited > patience_s:
                    raise NotYet(f"The worker before this one still uses {folder}.")
            elif waited > TAKEOVER_S:
                raise StartupError(
                    f"Another process is using {folder}: run one service on one DATA_DIR."
                )
            time.sleep(0.1)

    def _is_taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_predecessors(self) -> bool:
        """Whether the holder is a worker that this process replaces."""
        try:
            return hands_over(Path(self._file.name).read_text())
        except OSError:
            return False
