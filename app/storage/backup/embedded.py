"""The embedded store: its folder is copied while writers wait, and points read from the copy."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from socket import socket

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
    """From the running service, or where there is none from the folder itself. Raises a
    ServiceError or StartupError."""
    with ExitStack() as stack:
        service, moment = _copied(settings, work, tell)
        if service:  # it tidies up when this connection ends, however that comes
            stack.enter_context(service)
        store = stack.enter_context(closing(EdgeStore(work / VECTORS)))
        lines = map(line_of, store.wholes())
        yield Taken(moment, "embedded", store.embedder(), store.zero(), lines, work / HISTORY_DB)


def _copied(settings: Settings, work: Path, tell: Tell) -> tuple[socket | None, str]:
    """The service that was asked, and the moment of the copies."""
    for left in range(TRIES, 0, -1):
        try:
            return _copy(settings, work)
        except (ServiceBusy, StartupError) as error:
            if left == 1:
                raise
            tell(f"{error} Trying again.")
            time.sleep(AGAIN_S)
    raise AssertionError("unreachable")


def _copy(settings: Settings, work: Path) -> tuple[socket | None, str]:
    data = settings.data_dir
    with ExitStack() as stack:
        service = _service(data)
        if service:
            stack.enter_context(service)
        needed = 2 * room_of(data / HISTORY_DB) + room_of(data / VECTORS)
        check_room(work, needed, settings.min_free_mb * MEGABYTE)
        with _still(data, service):
            copy_folder(data / VECTORS, work / VECTORS)
            snapshot = Snapshot(data / HISTORY_DB)
            moment = now()
        with closing(snapshot):
            snapshot.save(work / HISTORY_DB)
        stack.pop_all()  # it stays connected
    return service, moment


def _service(data: Path) -> socket | None:
    try:
        return connect(data)
    except NobodyThere:
        return None


def _still(data: Path, service: socket | None) -> AbstractContextManager[object]:
    """Nobody writes. What a killed service left half done is settled where the copy is opened."""
    if service:
        return pause(service)
    return closing(Holder(data / VECTORS, TAKEOVER_S))
