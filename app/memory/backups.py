"""Lets `python -m app.cli.backup` copy the embedded store while the service runs."""

import logging
from pathlib import Path

from app.storage.backup.copying import tidy
from app.storage.backup.door import Door
from app.storage.backup.making import WORK
from app.storage.journal.writer import Writer

log = logging.getLogger(__name__)


class Backups:
    """Lets a backup pause the writers, and deletes the files of a backup that was killed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._data_dir: Path | None = None
        self._door: Door | None = None

    def look_after(self, data_dir: Path, *, door: bool) -> None:
        """`door`: whether backups may be made while this process runs, which holds the embedded
        store."""
        self._data_dir = data_dir
        if not door:
            return
        try:
            self._door = Door(data_dir, self._writer.still)
        except OSError as error:
            log.warning("no backups while this runs: DATA_DIR takes no socket: %s", error)

    def tidy(self) -> None:
        """Delete the files of a killed backup, because they hold texts of users. Called every few
        seconds."""
        if self._data_dir:
            tidy(self._data_dir / WORK)

    def close(self) -> None:
        if self._door:
            self._door.close()
