"""Who has the folder of the embedded store open: one process at a time.

Edge has a lock of its own, but takes it late: what it reads before that it also mends, and the
process that has the folder open can then no longer flush ("Tracker journal is shorter than
expected", qdrant-edge-py 0.9). So this lock comes first, and only who has it lets Edge look.
"""

import fcntl
import logging
import time
from contextlib import suppress
from pathlib import Path

from app.config import hands_over, service_name
from app.errors import NotYet, StartupError

log = logging.getLogger(__name__)

TAKEOVER_S = 10.0  # a killed server's worker lets go within a second


class Holder:
    """Has `folder` until it is closed, or its process ends."""

    def __init__(self, folder: Path, patience_s: float) -> None:
        """Waits up to 10 s for a dying process to let it go, and `patience_s` for the worker
        before this one, which still answers.

        Raises NotYet, for which another worker may wait on; StartupError; OSError.
        """
        # With "a" what the holder wrote stays: who waits reads it.
        self._file = folder.with_name(f"{folder.name}.holder").open("a")
        try:
            self._wait(folder, patience_s)
        except BaseException:
            self.close()
            raise
        with suppress(OSError):  # such as a full disk: then the next worker has less patience
            self._file.truncate(0)
            self._file.write(service_name())
            self._file.flush()

    def close(self) -> None:
        with suppress(OSError):  # what could not be written on a full disk is tried again
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
        """Whether a worker has it that will let go for this process."""
        try:
            return hands_over(Path(self._file.name).read_text())
        except OSError:
            return False
