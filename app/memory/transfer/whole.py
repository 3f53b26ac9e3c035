"""Whether what came is as it was exported, to its last line."""

import hashlib


class Whole:
    """Of one export, or of several, one behind the other."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._open = self._seen = self._wrong = False

    def begin(self) -> None:
        """At a header, before it is added."""
        self._wrong |= self._open
        self._sha256 = hashlib.sha256()
        self._open = self._seen = True

    def add(self, raw: bytes) -> None:
        """Any line but a last one."""
        self._sha256.update(raw)

    def end(self, sha256: str) -> None:
        self._wrong |= not self._open or sha256 != self._sha256.hexdigest()
        self._open = False

    def verdict(self) -> bool | None:
        """None where there was no header."""
        return not (self._wrong or self._open) if self._seen else None
