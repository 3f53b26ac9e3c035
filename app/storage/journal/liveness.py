"""Liveness: which processes live. Only the intents of dead processes may be recovered by others."""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from app.storage.payloads import new_id


class Liveness(Protocol):
    """The sign of life of this process, and a view on those of others. Safe for many threads."""

    @property
    def process(self) -> str:
        """The id of this process; another one after `begin_anew`."""

    def check(self) -> None:
        """Raises HistoryUnavailable where others may have declared this process dead: it must not
        write any more, not even to the vectors. Makes no call."""

    def check_renewal(self) -> None:
        """Raises HistoryUnavailable where it could not give its sign of life the last time: then
        what it writes fails as well, or soon will. Asks nobody."""

    @property
    def is_lost(self) -> bool:
        """Whether others declared this process dead, and recover its intents."""

    def begin_anew(self) -> None:
        """Get a new id. To be called when `is_lost`, while this process writes nothing."""

    def dead_among(self, processes: Collection[str]) -> list[str]:
        """The processes that seem to be dead. Takes no lock, so another may recover them first."""

    def if_dead(self, process: str) -> AbstractContextManager[bool]:
        """Whether `process` is dead for certain: it cannot write any more. If so, no other process
        is told the same within the context, and afterwards the process is forgotten."""

    def close(self) -> None:
        """Give the sign of life up: others may recover this process's intents at once."""


class FileLocks:
    """A `Liveness` by locks on files, for processes on one machine. Each process holds a lock as
    long as it lives. A stopped process keeps its lock, and so counts as living.
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
        """Does nothing, because no other process can take the lock."""

    def check_renewal(self) -> None:
        """The kernel keeps it."""

    def begin_anew(self) -> None:
        """Does nothing, because the lock is never lost."""

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
