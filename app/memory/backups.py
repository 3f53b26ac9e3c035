"""Lets `python -m app.cli.backup` copy the embedded store while the service runs."""

import logging
from functools import partial
from pathlib import Path

from app.storage.backup.copying import tidy
from app.storage.backup.door import Door
from app.storage.backup.making import WORK
from app.storage.journal.writer import Writer

log = logging.getLogger(__name__)


class Backups:
    """The door to a service's pause, where it has one."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._door: Door | None = None

    def open(self, data_dir: Path) -> None:
        """For the process that has the embedded store. Without it backups need a stop."""
        leave_nothing = partial(tidy, data_dir / WORK)
        leave_nothing()
        try:
            self._door = Door(data_dir, self._writer.still, leave_nothing)
        except OSError as error:
            log.warning("no backups while this runs: DATA_DIR takes no socket: %s", error)

    def close(self) -> None:
        if self._door:
            self._door.close()
