"""API keys that are minted, listed and revoked while the service runs. A change counts at once in
every process."""

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
    """Finds the principal of a key, and mints, lists and revokes keys.

    Each request looks its scoped key up in the history database. So every process refuses a revoked
    key from the next request on; requests that have begun are finished.
    """

    def __init__(self, keys: Keys, issued: IssuedKeys) -> None:
        self._keys = keys
        self._issued = issued

    def principal(self, key: str) -> Principal:
        """The principal of `key`. Raises WrongKey, and HistoryUnavailable where the revoked keys
        cannot be read."""
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
        """The keys that were minted over HTTP, used or revoked, as callers see them."""
        principal.must_be_admin()
        return [_shown(key) for key in self._issued.all()]

    def revoke(self, principal: Principal, id_: str) -> None:
        principal.must_be_admin()
        self._issued.revoke(id_)


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _shown(key: IssuedKey) -> dict[str, Any]:
    return key._asdict() | {"ends_at": key.ends_at and utc(key.ends_at)}
