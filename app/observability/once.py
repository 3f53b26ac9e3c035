"""Writes each line into the log once, however often it is given."""

import logging


class Once:
    """Logs each text once. Threads that do it at the same moment may write a line twice."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: set[str] = set()

    def __call__(self, text: str, level: int = logging.WARNING) -> None:
        if text not in self._told:
            self._told.add(text)
            self._log.log(level, "%s", text)
