"""Backup of the embedded store: its folder is copied while writers wait; points are read from the
copy."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.config import Settings
from app.errors import ServiceBusy, StartupError
from app.storage.backup.archive import line_of
from app.storage.backup.copying import MEGABYTE, check_room, copy_folder, room_of
from app.storage.backup.door import NobodyThere, connect, pause
from app.storage.backup.history import Snapshot
from app.storage.backup.taking import HISTORY_DB, VECTORS, Taken, Tell
from app.storage.payloads import now
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.edge.holder import TAKEOVER_S, Holder

TRIES = 3
AGAIN_S = 1.0


@contextmanager
def taken(settings: Settings, work: Path, tell: Tell) -> Iterator[Taken]:
    """Copy the stores of the running service, or of a stopped one. Raises a ServiceError or
    StartupError."""
    moment = _copied(settings, work, tell)
    with closing(EdgeStore(work / VECTORS)) as store:
        lines = map(line_of, store.wholes())
        yield Taken(moment, "embedded", store.embedder(), store.zero(), lines, work / HISTORY_DB)


def _copied(settings: Settings, work: Path, tell: Tell) -> str:
    """Copy both stores. Returns the moment of the copies."""
    for left in range(TRIES, 0, -1):
        try:
            return _copy(settings, work)
        except (ServiceBusy, StartupError) as error:
            if left == 1:
                raise
            tell(f"{error} Trying again.")
            time.sleep(AGAIN_S)
    raise AssertionError("unreachable")


def _copy(settings: Settings, work: Path) -> str:
    data = settings.data_dir
    needed = 2 * room_of(data / HISTORY_DB) + room_of(data / VECTORS)
    check_room(work, needed, settings.min_free_mb * MEGABYTE)
    with _still(data):
        copy_folder(data / VECTORS, work / VECTORS)
        snapshot, moment = Snapshot(data / HISTORY_DB), now()
    with closing(snapshot):
        snapshot.save(work / HISTORY_DB)
    return moment


@contextmanager
def _still(data: Path) -> Iterator[None]:
    """Held while no writer writes. Writes that a killed service left unfinished are recovered when
    the copy is opened."""
    try:
        service = connect(data)
    except NobodyThere:
        with closing(Holder(data / VECTORS, TAKEOVER_S)):
            yield
        return
    with service, pause(service):
        yield
