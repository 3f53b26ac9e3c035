"""Unsure intents: those of this process of which it does not know whether they took place."""

import threading
from collections.abc import Collection
from typing import NamedTuple

from app.security.scopes import Scope
from app.storage.journal.writes import Intent, Write


class UnsureIntent(NamedTuple):
    intent: Intent
    asked: bool
    """Whether the store was called. If not, the intent did not take place."""


class Unsure:
    """The unsure intents by their ids, in the order of their failures. Safe for many threads."""

    def __init__(self) -> None:
        self._all: dict[str, UnsureIntent] = {}
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, intent: Intent, *, asked: bool) -> None:
        with self._changing:
            self._all[intent.id] = UnsureIntent(intent, asked)

    def get(self, id_: str) -> UnsureIntent | None:
        return self._all.get(id_)

    def remove(self, id_: str) -> None:
        with self._changing:
            self._all.pop(id_, None)

    def clear(self) -> None:
        with self._changing:
            self._all.clear()

    def ids(self) -> list[str]:
        with self._changing:
            return [*self._all]

    def touching(self, ids: Collection[str], scope: Scope | None, *, whole: bool) -> list[str]:
        """The ids of the intents about these memories, see Journal.clear_way."""
        if not self._all:  # without the lock: this is nearly always so, and runs for every write
            return []
        with self._changing:
            unsure = [found.intent for found in self._all.values()]
        return [one.id for one in unsure if one.touches(ids, scope, whole=whole)]

    def of_key(self, repeat: tuple[str, str]) -> list[str]:
        """The ids of the intents with this caller and idempotency key."""
        with self._changing:
            unsure = [found.intent for found in self._all.values()]
        return [one.id for one in unsure if isinstance(one, Write) and one.repeat == repeat]
