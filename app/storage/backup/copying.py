"""The work folder of a backup: one process at a time uses it, and it is deleted afterwards."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.errors import StorageFull
from app.storage.holes import written

MEGABYTE = 2**20
TRIES, TRY_S = 10, 0.1


class AnotherIsAtWork(Exception):
    """Another process uses the folder."""


@contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """Gives `path` as an empty folder, which is deleted afterwards. Raises AnotherIsAtWork."""
    with _patient_lock(path):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def tidy(path: Path) -> None:
    """Delete a work folder that a killed process left, because it has texts of users."""
    if path.exists():
        try:
            with lock(path):
                shutil.rmtree(path, ignore_errors=True)
        except AnotherIsAtWork:
            return


@contextmanager
def _patient_lock(path: Path) -> Iterator[None]:
    """Like `lock`, but waits for `tidy`, which holds it for a moment."""
    with ExitStack() as stack:
        for left in range(TRIES, 0, -1):
            try:
                stack.enter_context(lock(path))
                break
            except AnotherIsAtWork:
                if left == 1:
                    raise
                time.sleep(TRY_S)
        yield


@contextmanager
def lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """A lock between processes on the folder `path`; `shared` for those that only look. Raises
    AnotherIsAtWork."""
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with path.with_name(f"{path.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AnotherIsAtWork from error
        yield


def room_of(path: Path) -> int:
    """The bytes on the disk of a file, or of all files in a folder; 0 where it does not exist."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def check_room(folder: Path, needed: int, kept_free: int) -> None:
    """Raises StorageFull where less than `kept_free` bytes would remain free: on a full disk the
    process of the embedded engine would end."""
    if shutil.disk_usage(folder).free - needed < kept_free:
        raise StorageFull(
            f"{folder} has no room for another {needed // MEGABYTE} MB beside the "
            f"{kept_free // MEGABYTE} MB that are kept free (MIN_FREE_MB)."
        )


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files in a folder. Holes stay holes: Edge's files consist of them by nine tenths."""
    for path in sorted(source.rglob("*")):
        beside = target / path.relative_to(source)
        if path.is_dir():
            beside.mkdir(parents=True, exist_ok=True)
        else:
            beside.parent.mkdir(parents=True, exist_ok=True)
            _copy(path, beside)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        new.truncate(source.stat().st_size)
        for begin, end in written(old.fileno()):
            old.seek(begin)
            new.seek(begin)
            while block := old.read(min(MEGABYTE, end - old.tell())):
                new.write(block)
