"""Which processes live. What a dead one left may be recovered, what a living one is at may not."""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from app.storage.payloads import new_id


class Liveness(Protocol):
    """This process's own sign of life, and a look at those of others. Safe for many threads."""

    @property
    def process(self) -> str:
        """The id of this process; another one after `begin_anew`."""

    def check(self) -> None:
        """Raises HistoryUnavailable where others may hold this process for dead by now: it must not
        write, not to the vectors either. Asks nobody."""

    def check_renewal(self) -> None:
        """Raises HistoryUnavailable where it could not give its sign of life the last time: then
        what it writes fails as well, or soon will. Asks nobody."""

    @property
    def is_lost(self) -> bool:
        """Whether others hold this process for dead, and recover what it was at."""

    def begin_anew(self) -> None:
        """Be another process, which has nothing. For one that is lost, while it writes nothing."""

    def dead_among(self, processes: Collection[str]) -> list[str]:
        """Those that seem to be gone; the others may be at work. A look, that keeps nobody off."""

    def if_dead(self, process: str) -> AbstractContextManager[bool]:
        """Whether that process is gone, for good: it cannot write any more, and nobody else is told
        so within the context. After it, nothing is known of that process."""

    def close(self) -> None:
        """What this process leaves may be recovered at once."""


class FileLocks:
    """Each process holds a lock on a file as long as it lives: for those of one machine.

    One that is stopped lives: the kernel keeps its lock.
    """

    is_lost = False

    def __init__(self, folder: Path) -> None:
        """`folder` has the lock files of all processes of one history."""
        self._folder = folder
        self.process = new_id()
        folder.mkdir(parents=True, exist_ok=True)
        self._life = _locked(self._file(self.process))

    def close(self) -> None:
        self._file(self.process).unlink(missing_ok=True)
        self._life.close()

    def check(self) -> None:
        """Nobody else can have the lock."""

    def check_renewal(self) -> None:
        """The kernel keeps it."""

    def begin_anew(self) -> None:
        """It is never lost."""

    def dead_among(self, processes: Collection[str]) -> list[str]:
        return [process for process in processes if self._is_dead(process)]

    @contextmanager
    def if_dead(self, process: str) -> Iterator[bool]:
        try:
            file = _locked(self._file(process))
        except BlockingIOError:
            yield False
            return
        with file:
            yield True
            self._file(process).unlink(missing_ok=True)

    def _is_dead(self, process: str) -> bool:
        try:
            _locked(self._file(process)).close()
        except BlockingIOError:
            return False
        return True

    def _file(self, process: str) -> Path:
        return self._folder / f"{process}.lock"


def anybody_lives(folder: Path) -> bool:
    """Whether a process holds one of the lock files in `folder`."""
    for path in folder.glob("*.lock"):
        try:
            _locked(path).close()
        except BlockingIOError:
            return True
    return False


def _locked(path: Path) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file
