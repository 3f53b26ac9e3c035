"""Records of API keys that were minted over HTTP, used, or revoked. The keys themselves are never
stored."""

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from app.security.keys import Grant
from app.security.scopes import SCOPE_KEYS, Scope
from app.storage.history.database import Database
from app.storage.history.schema import KEYS
from app.storage.history.statements import add_if_absent
from app.storage.payloads import now, today

KEPT_S = 365 * 24 * 3600  # after the key's end, so that its writes can still be attributed

_REVOKED = select(KEYS.c.revoked_at).where(KEYS.c.id == bindparam("asked"))


class IssuedKey(NamedTuple):
    """The record of a key. Unknown fields are None, such as most fields of a key that was minted
    offline and then revoked by its id."""

    id: str
    scope: Scope | None
    read_only: bool | None
    ends_at: float | None
    """Seconds since 1970."""
    created_at: str | None
    """Known only where it was minted over HTTP."""
    last_used_on: str | None
    """The day, in UTC."""
    revoked_at: str | None


class IssuedKeys:
    """The records of keys in a database. Safe for many threads and several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changing = threading.Lock()
        self._day = ""
        self._used: set[str] = set()  # keys that were used on `_day`
        self._unwritten: dict[str, tuple[Grant, str]] = {}

    def add(self, grant: Grant) -> bool:
        """Add the record of a key. Returns False where its id is taken."""
        row = {**_columns(grant), "created_at": now()}

        def write(connection: Connection) -> bool:
            ended = KEYS.c.ends_at < time.time() - KEPT_S
            connection.execute(delete(KEYS).where(ended))
            return add_if_absent(connection, KEYS, row)

        return self._database.write(write)

    def is_revoked(self, id_: str) -> bool:
        """Whether a key is revoked now, by any process."""
        with self._database.reading() as connection:
            return connection.scalar(_REVOKED, {"asked": id_}) is not None

    def revoke(self, id_: str) -> None:
        """Revoke a key, which may be unknown, since keys can be minted offline."""

        def write(connection: Connection) -> None:
            # First the insert, because the key's first use may be recorded at the same time.
            if not add_if_absent(connection, KEYS, {"id": id_, "revoked_at": now()}):
                mine = update(KEYS).where(KEYS.c.id == id_, KEYS.c.revoked_at.is_(None))
                connection.execute(mine.values(revoked_at=now()))

        self._database.write(write)

    def used(self, grant: Grant) -> None:
        """Note that a key was used today. `write_uses` stores it later, so that no request waits
        for it."""
        day, id_ = today(), grant.principal.id
        if day == self._day and id_ in self._used:
            return
        with self._changing:
            if day != self._day:
                self._day, self._used = day, set()
            self._used.add(id_)
            self._unwritten[id_] = (grant, day)

    def write_uses(self) -> None:
        with self._changing:
            waiting, self._unwritten = self._unwritten, {}
        if not waiting:
            return
        try:
            self._database.write(partial(_write_uses, waiting=waiting))
        except BaseException:
            with self._changing:
                self._unwritten = waiting | self._unwritten
            raise

    def all(self) -> list[IssuedKey]:
        """All records, the latest minted first; those without a time of minting come last."""
        self.write_uses()
        order = (KEYS.c.created_at.desc().nulls_last(), KEYS.c.id)
        with self._database.reading() as connection:
            found = connection.execute(select(KEYS).order_by(*order)).all()
        return [_issued(row._asdict()) for row in found]


def _columns(grant: Grant) -> dict[str, Any]:
    principal = grant.principal
    own = {"id": principal.id, "read_only": principal.read_only, "ends_at": grant.ends_at}
    return {**own, **dict.fromkeys(SCOPE_KEYS), **principal.scope}


def _write_uses(connection: Connection, waiting: Mapping[str, tuple[Grant, str]]) -> None:
    for id_, (grant, day) in sorted(waiting.items()):  # always in this order: no deadlock
        minted_offline = {**_columns(grant), "last_used_on": day}
        if not add_if_absent(connection, KEYS, minted_offline):
            connection.execute(update(KEYS).where(KEYS.c.id == id_).values(last_used_on=day))


def _issued(row: Mapping[str, Any]) -> IssuedKey:
    scope = {key: row[key] for key in SCOPE_KEYS if row[key]}
    others = {name: row[name] for name in IssuedKey._fields if name != "scope"}
    return IssuedKey(scope=scope or None, **others)
