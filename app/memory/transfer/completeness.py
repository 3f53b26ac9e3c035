"""Checks that an export was received completely and unchanged."""

import hashlib


class Completeness:
    """Checks one export, or several one after the other."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._open = self._seen = self._wrong = False

    def begin(self) -> None:
        """Begin an export; to be called at its header, before that is added."""
        self._wrong |= self._open
        self._sha256 = hashlib.sha256()
        self._open = self._seen = True

    def add(self, raw: bytes) -> None:
        """Add a line other than the last one."""
        self._sha256.update(raw)

    def end(self, sha256: str) -> None:
        self._wrong |= not self._open or sha256 != self._sha256.hexdigest()
        self._open = False

    def verdict(self) -> bool | None:
        """Whether all exports were complete; None where there was no header."""
        return not (self._wrong or self._open) if self._seen else None
