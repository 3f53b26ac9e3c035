"""Lets `python -m app.cli.backup` copy the embedded store while the service runs."""

import logging
from pathlib import Path

from app.storage.backup.copying import tidy
from app.storage.backup.door import Door
from app.storage.backup.making import WORK
from app.storage.journal.writer import Writer

log = logging.getLogger(__name__)


class Backups:
    """The door to a pause of the writers, and who tidies up after a backup that was killed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._data_dir: Path | None = None
        self._door: Door | None = None

    def look_after(self, data_dir: Path, *, door: bool) -> None:
        """With a `door` for the process that has the embedded store; without it backups need a
        stop."""
        self._data_dir = data_dir
        if not door:
            return
        try:
            self._door = Door(data_dir, self._writer.still)
        except OSError as error:
            log.warning("no backups while this runs: DATA_DIR takes no socket: %s", error)

    def tidy(self) -> None:
        """Called every few seconds: what a killed backup left has texts of users."""
        if self._data_dir:
            tidy(self._data_dir / WORK)

    def close(self) -> None:
        if self._door:
            self._door.close()
