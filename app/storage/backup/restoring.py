"""Restores a backup: builds new stores beside the current ones, then replaces these.

The folder `restore.part` is being built. When it is complete, it is renamed to `restore.next`. From
then on the restore is certain: if it is interrupted, the next process that opens DATA_DIR finishes
it.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.errors import NotYet, ServiceError
from app.storage.backup import target
from app.storage.backup.archive import Archive, Manifest, TooNew
from app.storage.backup.copying import AnotherIsAtWork, lock, tidy
from app.storage.backup.making import sync_folder
from app.storage.backup.taking import HISTORY_DB, Tell
from app.storage.history.database import Database
from app.storage.history.schema import SCHEMA_VERSION
from app.storage.history.sqlite import SQLite
from app.storage.journal.liveness import anybody_lives
from app.storage.vectors import open_store
from app.storage.vectors.store import VectorStore

IN_POSTGRESQL = (
    "DATABASE_URL: a backup comes into DATA_DIR. Restore it without DATABASE_URL, and then let "
    "'python -m app.cli.move' take its history over."
)
PART, NEXT = "restore.part", "restore.next"
AT_ONCE = 128
TOLD = 10_000  # memories between two lines of progress


class Refused(Exception):
    """The restore was refused, and nothing was changed; the text says why."""


class Unfinished(Exception):
    """The restore is certain but not finished; the next process that opens DATA_DIR finishes it."""


def restore(settings: Settings, file: IO[bytes], tell: Tell, *, replace: bool) -> Manifest:
    """Restore the backup in `file` into DATA_DIR, and into the collection on a Qdrant server.

    `replace`: existing memories are replaced. Returns the manifest. Raises Refused, Damaged,
    TooNew, a ServiceError, StartupError or OSError, after which nothing was changed; or Unfinished.
    May be called again.
    """
    if settings.database_url:
        raise Refused(IN_POSTGRESQL)
    with _alone(settings):
        _end(settings)  # finish an interrupted restore first
        with closing(Archive(file)) as archive:
            _check(settings, archive, replace=replace)
            target.drop_left(settings, settings.data_dir / PART)
            part = settings.data_dir / PART
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700)
            _build(settings, archive, part, tell)
            about = archive.manifest
        part.rename(settings.data_dir / NEXT)
        sync_folder(settings.data_dir)
        try:
            _end(settings)
        except (ServiceError, OSError) as error:
            raise Unfinished(str(error)) from error
    return about


def end_restore(settings: Settings) -> None:
    """Finish a restore that was interrupted after it was certain. Every process that opens DATA_DIR
    calls it. Raises NotYet while another process does it."""
    if not settings.on_server:  # there the folder names a collection that is still to be deleted
        tidy(settings.data_dir / PART)
    if not (settings.data_dir / NEXT).exists():
        return
    try:
        with lock(settings.data_dir / PART):
            _end(settings)
    except AnotherIsAtWork as error:
        raise NotYet("A restore into DATA_DIR is being finished.") from error
    except ServiceError as error:
        raise NotYet(f"A restore into DATA_DIR cannot be finished: {error.detail}") from error


def check_no_restore(settings: Settings) -> None:
    """Raises NotYet while a restore runs. To be called after this process's sign of life exists, so
    that of a restore and this process at least one notices the other."""
    try:
        with lock(settings.data_dir / PART, shared=True):
            return
    except AnotherIsAtWork as error:
        raise NotYet("A restore into DATA_DIR is at work.") from error


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    with lock(settings.data_dir / PART):
        if anybody_lives(settings.data_dir / "processes"):
            raise Refused("The service is running on this DATA_DIR: stop it first.")
        yield


def _check(settings: Settings, archive: Archive, *, replace: bool) -> None:
    if archive.manifest.schema_version > SCHEMA_VERSION:
        raise TooNew(
            f"its history has schema version {archive.manifest.schema_version}, this version "
            f"knows {SCHEMA_VERSION}"
        )
    if not replace and (_has_rows(settings.data_dir / HISTORY_DB) or _has_points(settings)):
        raise Refused("There are memories already, or a history: --replace puts it in their place.")


def _has_rows(database: Path) -> bool:
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in tables} - {"schema_version", "sqlite_sequence"}
        counts = (f"SELECT EXISTS (SELECT 1 FROM {name})" for name in names)  # noqa: S608  # ours
        return any(connection.execute(query).fetchone()[0] for query in counts)


def _has_points(settings: Settings) -> bool:
    with closing(open_store(settings)) as store:
        return store.count({}) > 0


def _build(settings: Settings, archive: Archive, part: Path, tell: Tell) -> None:
    archive.save_history(part / HISTORY_DB)
    Database(SQLite(part / HISTORY_DB)).close()  # brings the tables to this version
    with closing(target.new_store(settings, part)) as store:
        _fill(store, archive, tell)
        store.flush()


def _fill(store: VectorStore, archive: Archive, tell: Tell) -> None:
    about, points, number = archive.manifest, archive.points(), 0
    if about.embedder is not None:
        store.prepare(EmbedderInfo(about.embedder, about.dimensions))
    while some := [*islice(points, AT_ONCE)]:
        target.check_fits(store, some)
        store.put({one.record.id: (one.vector, one.record.payload) for one in some})
        number += len(some)
        if number % TOLD < AT_ONCE:
            tell(f"{number} of {about.memories}")
    if about.zero is not None:
        store.keep_zero(about.zero)


def _end(settings: Settings) -> None:
    """Replace the stores by the complete new ones. It may be interrupted and called again."""
    data, whole = settings.data_dir, settings.data_dir / NEXT
    if not whole.exists():
        return
    target.take_place(settings, whole)
    if (whole / HISTORY_DB).exists():
        # The old database's log goes first: SQLite would apply it to the new database.
        for name in (f"{HISTORY_DB}-wal", f"{HISTORY_DB}-shm", HISTORY_DB):
            (data / name).unlink(missing_ok=True)
        (whole / HISTORY_DB).rename(data / HISTORY_DB)
        sync_folder(data)
    shutil.rmtree(whole)
