"""Which processes live: each holds a lock on a file as long as it does."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.storage.payloads import new_id


class Liveness:
    """This process's own sign of life, and a look at those of others."""

    def __init__(self, folder: Path) -> None:
        """`folder` has the lock files of all processes of one history."""
        self._folder = folder
        self.process = new_id()
        folder.mkdir(parents=True, exist_ok=True)
        self._life = _locked(self._file(self.process))

    def close(self) -> None:
        self._file(self.process).unlink(missing_ok=True)
        self._life.close()

    @contextmanager
    def if_dead(self, process: str) -> Iterator[bool]:
        """Whether that process is gone; its file stays locked, so that one looks at a time."""
        try:
            file = _locked(self._file(process))
        except BlockingIOError:
            yield False
            return
        with file:
            yield True
            self._file(process).unlink(missing_ok=True)

    def _file(self, process: str) -> Path:
        return self._folder / f"{process}.lock"


def _locked(path: Path) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file
