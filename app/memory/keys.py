"""Keys over HTTP: minted, listed and revoked while the service runs, by every process at once."""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.memory.fields import Days
from app.memory.validation import InScope
from app.security.keys import DAY_S, DEFAULT_DAYS, Grant, Keys, WrongKey, new_key_id
from app.security.principal import ADMIN, Principal
from app.storage.history.issued import IssuedKey, IssuedKeys


class MintRequest(InScope):
    read_only: bool = False
    days: Days = DEFAULT_DAYS


class Minted(NamedTuple):
    key: str
    grant: Grant


class KeyService:
    """Tells who a key belongs to, and gives keys out.

    A scoped key is looked up in the history database at each request, so that one that was revoked
    is refused from the next on, by every process; what is at work then is finished.
    """

    def __init__(self, keys: Keys, issued: IssuedKeys) -> None:
        self._keys = keys
        self._issued = issued

    def principal(self, key: str) -> Principal:
        """Raises WrongKey; and HistoryUnavailable, where it cannot be told whether a key is still
        good."""
        grant = self._keys.open(key)
        if grant.principal is ADMIN:
            return ADMIN
        if self._issued.is_revoked(grant.principal.id):
            raise WrongKey("This key was revoked.")
        self._issued.used(grant)
        return grant.principal

    def mint(self, principal: Principal, asked: MintRequest) -> Minted:
        principal.must_be_admin()
        ends_at = int(time.time()) + asked.days * DAY_S
        while True:
            grant = Grant(Principal(new_key_id(), asked.scope(), asked.read_only), ends_at)
            if self._issued.add(grant):
                return Minted(self._keys.mint(*grant), grant)

    def listed(self, principal: Principal) -> list[dict[str, Any]]:
        """Those minted over HTTP, used or revoked, as callers see them."""
        principal.must_be_admin()
        return [_shown(key) for key in self._issued.all()]

    def revoke(self, principal: Principal, id_: str) -> None:
        principal.must_be_admin()
        self._issued.revoke(id_)


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _shown(key: IssuedKey) -> dict[str, Any]:
    return key._asdict() | {"ends_at": key.ends_at and utc(key.ends_at)}
