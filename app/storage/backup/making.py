"""Makes a backup: writes both stores, as of one moment, to one file."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import IO

from app.config import VERSION, Settings
from app.errors import StartupError, StorageFull
from app.storage.backup.archive import ArchiveWriter, Manifest
from app.storage.backup.copying import MEGABYTE, work_folder
from app.storage.backup.taking import HISTORY_DB, Taken, Tell

WORK = "backup.work"
IN_POSTGRESQL = (
    "DATABASE_URL: this backs up a history in DATA_DIR. Back up PostgreSQL and the Qdrant server "
    "by their own means, with the service stopped, so that both are of one moment."
)
LOOK_BYTES = 16 * MEGABYTE  # written between two checks of the free space


def make_backup(settings: Settings, file: IO[bytes], tell: Tell) -> Manifest:
    """Write a backup to `file`, which need not be seekable. Raises a ServiceError, StartupError,
    OSError, or AnotherIsAtWork."""
    if settings.database_url:
        raise StartupError(IN_POSTGRESQL)
    if not (settings.data_dir / HISTORY_DB).exists():
        raise StartupError(f"DATA_DIR: there is no {HISTORY_DB} in {settings.data_dir}.")
    with work_folder(settings.data_dir / WORK) as work, _taken(settings, work, tell) as both:
        return _write(both, file)


def _taken(settings: Settings, work: Path, tell: Tell) -> AbstractContextManager[Taken]:
    """Both stores as of one moment. An engine is imported only where it is chosen."""
    if settings.on_server:
        from app.storage.backup import on_server

        return on_server.taken(settings, work, tell)
    from app.storage.backup import embedded

    return embedded.taken(settings, work, tell)


def _write(both: Taken, file: IO[bytes]) -> Manifest:
    archive = ArchiveWriter(file)
    points = archive.points(both.lines)
    history = archive.history(both.history)
    version, events = _counted(both.history)
    manifest = Manifest(
        version=VERSION,
        created_at=both.moment,
        store=both.store,
        embedder=both.embedder.name if both.embedder else None,
        dimensions=both.embedder.dimensions if both.embedder else 0,
        zero=both.zero,
        schema_version=version,
        memories=points.lines,
        events=events,
        digests={"points.jsonl": points.digest, "history.db": history.digest},
    )
    archive.close(manifest)
    return manifest


def _counted(history: Path) -> tuple[int, int]:
    """The schema version of a history, and its number of events."""
    with closing(sqlite3.connect(history)) as connection:
        (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        (events,) = connection.execute("SELECT count(*) FROM history").fetchone()
    return version, events


class _Bounded:
    """A file for writing that keeps some space free on its disk. Raises StorageFull."""

    def __init__(self, file: IO[bytes], folder: Path, kept_free: int) -> None:
        self._file = file
        self._folder = folder
        self._kept_free = kept_free
        self._left = 0

    def write(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            self._left = LOOK_BYTES
            if shutil.disk_usage(self._folder).free < self._kept_free + LOOK_BYTES:
                raise StorageFull(
                    f"{self._folder} is on a disk with less than {self._kept_free // MEGABYTE} MB "
                    "(MIN_FREE_MB) left, which the service needs too."
                )
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


@contextmanager
def new_file(path: Path, settings: Settings) -> Iterator[IO[bytes]]:
    """Gives a file that becomes `path` only when everything was written and flushed to the disk.
    Only this user may read it."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            same_disk = part.stat().st_dev == settings.data_dir.stat().st_dev
            kept_free = settings.min_free_mb * MEGABYTE if same_disk else 0
            yield _Bounded(file, path.absolute().parent, kept_free)  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.absolute().parent)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
