"""A backup is put back: built beside what is there, then put in its place.

The folder `restore.part` is being built. `restore.next` is whole: from its rename on the restore
stands, and whoever opens DATA_DIR next ends it, should it be cut off.
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
TOLD = 10_000  # memories between two lines


class Refused(Exception):
    """Nothing was changed; the text says why."""


class Unfinished(Exception):
    """It stands, and is put in its place by whoever opens DATA_DIR next."""


def restore(settings: Settings, file: IO[bytes], tell: Tell, *, replace: bool) -> Manifest:
    """Put the backup in `file` into DATA_DIR, and into the collection where there is a server.

    With `replace` in the place of what is there. Returns what it says of itself. Raises Refused,
    Damaged, TooNew, a ServiceError, StartupError or OSError; then what was there is as it was; or
    Unfinished. May be called again.
    """
    if settings.database_url:
        raise Refused(IN_POSTGRESQL)
    with _alone(settings):
        _end(settings)  # one that was cut off
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
    """For whoever opens DATA_DIR: what was cut off when it was as good as done. Raises NotYet
    while another process does so."""
    if not settings.on_server:  # whose unfinished collection has its name there
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
    """For a process whose sign of life is there: so one of the two sees the other. Raises NotYet
    while a restore is at work."""
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
    """Put what is whole in its place; any number of times, from wherever it was cut off."""
    data, whole = settings.data_dir, settings.data_dir / NEXT
    if not whole.exists():
        return
    target.take_place(settings, whole)
    if (whole / HISTORY_DB).exists():
        # First the logs of the old one: a log beside another database would damage that.
        for name in (f"{HISTORY_DB}-wal", f"{HISTORY_DB}-shm", HISTORY_DB):
            (data / name).unlink(missing_ok=True)
        (whole / HISTORY_DB).rename(data / HISTORY_DB)
        sync_folder(data)
    shutil.rmtree(whole)
