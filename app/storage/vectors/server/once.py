"""Lines of the log that are written once, however often there is cause."""

import logging


class Once:
    """Of one logger. Threads that come at the same moment may write a line twice."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: set[str] = set()

    def __call__(self, text: str, level: int = logging.WARNING) -> None:
        if text not in self._told:
            self._told.add(text)
            self._log.log(level, "%s", text)
