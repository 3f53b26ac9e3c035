"""Shows the progress of a command on standard error, where that is a terminal."""

import sys
import time

WIDTH = 30
EVERY_S = 0.2


class Progress:
    def __init__(self, total: int | None) -> None:
        """`total`: bytes; None where it is unknown."""
        self._total = total
        self._shown = sys.stderr.isatty()
        self._last = 0.0

    def tell(self, done: int, words: str) -> None:
        """Show that `done` bytes are done, with `words`."""
        now = time.monotonic()
        if not self._shown or now - self._last < EVERY_S:
            return
        self._last = now
        share = min(1.0, done / self._total) if self._total else 0.0
        filled = round(WIDTH * share)
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {share:4.0%} " if self._total else ""
        print(f"\r{bar}{words}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line, so that other output can be written."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
