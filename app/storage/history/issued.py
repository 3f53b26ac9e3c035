"""What is known of keys: those minted over HTTP, used, or revoked. Never a key itself."""

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

KEPT_S = 365 * 24 * 3600  # after its end, for those who look up who wrote something

_REVOKED = select(KEYS.c.revoked_at).where(KEYS.c.id == bindparam("asked"))


class IssuedKey(NamedTuple):
    """None is what is not known: of a key that was revoked by its id alone, most of it."""

    id: str
    scope: Scope | None
    read_only: bool | None
    ends_at: float | None
    """In seconds since 1970."""
    created_at: str | None
    """Where it was minted over HTTP."""
    last_used_on: str | None
    """The day, in UTC."""
    revoked_at: str | None


class IssuedKeys:
    """The keys of a database. Safe for many threads and several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changing = threading.Lock()
        self._day = ""
        self._used: set[str] = set()  # on that day
        self._unwritten: dict[str, tuple[Grant, str]] = {}

    def add(self, grant: Grant) -> bool:
        """Whether its id was free."""
        row = {**_columns(grant), "created_at": now()}

        def write(connection: Connection) -> bool:
            ended = KEYS.c.ends_at < time.time() - KEPT_S
            connection.execute(delete(KEYS).where(ended))
            return add_if_absent(connection, KEYS, row)

        return self._database.write(write)

    def is_revoked(self, id_: str) -> bool:
        """As of now, whichever process revoked it."""
        with self._database.reading() as connection:
            return connection.scalar(_REVOKED, {"asked": id_}) is not None

    def revoke(self, id_: str) -> None:
        """Also one that nothing is known of: it may have been minted offline."""

        def write(connection: Connection) -> None:
            # In this order: its first use may be written down at the same time.
            if not add_if_absent(connection, KEYS, {"id": id_, "revoked_at": now()}):
                mine = update(KEYS).where(KEYS.c.id == id_, KEYS.c.revoked_at.is_(None))
                connection.execute(mine.values(revoked_at=now()))

        self._database.write(write)

    def used(self, grant: Grant) -> None:
        """Note its use. It is written down by `write_uses`: nobody waits for a day's first."""
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
        """The last one that was minted first; those whose beginning is not known come last."""
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
    for id_, (grant, day) in sorted(waiting.items()):  # all in one order: nobody waits in a circle
        minted_offline = {**_columns(grant), "last_used_on": day}
        if not add_if_absent(connection, KEYS, minted_offline):
            connection.execute(update(KEYS).where(KEYS.c.id == id_).values(last_used_on=day))


def _issued(row: Mapping[str, Any]) -> IssuedKey:
    scope = {key: row[key] for key in SCOPE_KEYS if row[key]}
    others = {name: row[name] for name in IssuedKey._fields if name != "scope"}
    return IssuedKey(scope=scope or None, **others)
