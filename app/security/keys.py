"""Keys: the admin's, and scoped ones that are signed by it and need not be kept.

A scoped key carries its id, its scope, its mode and its end. Whoever has one could otherwise try
admin keys against its signature offline, so what signs is derived from the admin key by scrypt
(RFC 7914), once at start; the parameters are OWASP's for passwords, 2024: N=2^14, r=8, p=5.
"""

import hashlib
import secrets
import time
from collections.abc import Collection
from hmac import compare_digest
from math import inf
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer

from app.security.principal import ADMIN, Principal

PREFIX = "mem_"  # by which people and scanners of leaked secrets know it
_SALT = b"memory-service-api scoped keys 1"
_SCRYPT = {"n": 2**14, "r": 8, "p": 5, "maxmem": 2**26, "dklen": 32}


MAX_DAYS, DEFAULT_DAYS = 3650, 90
DAY_S = 24 * 3600


class Grant(NamedTuple):
    """What a key opens, and until when."""

    principal: Principal
    ends_at: float
    """In seconds since 1970."""


class WrongKey(Exception):
    """The text says what is wrong with a key; not with one that was not signed here."""


class Keys:
    """Mints scoped keys, and tells who a key belongs to. Deriving what signs takes 0.2 s."""

    def __init__(self, admin_key: str, revoked: Collection[str] = ()) -> None:
        self._admin = _digest(admin_key)
        self._revoked = frozenset(revoked)
        secret = hashlib.scrypt(admin_key.encode(), salt=_SALT, **_SCRYPT)
        self._signer = URLSafeSerializer(
            secret, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )

    def mint(self, principal: Principal, ends_at: float) -> str:
        """A key for `principal`, good until `ends_at` (seconds since 1970)."""
        return PREFIX + str(
            self._signer.dumps([principal.id, principal.scope, principal.read_only, int(ends_at)])
        )

    def open(self, key: str) -> Grant:
        """Raises WrongKey, also for one that REVOKED_KEYS names."""
        if compare_digest(_digest(key), self._admin):
            return Grant(ADMIN, inf)
        try:
            id_, scope, read_only, ends_at = self._signer.loads(key.removeprefix(PREFIX))
        except BadData:
            raise WrongKey("This key is not known.") from None
        if id_ in self._revoked:
            raise WrongKey("This key was revoked.")
        if ends_at <= time.time():
            raise WrongKey("This key has expired.")
        return Grant(Principal(id_, scope, read_only), ends_at)


def new_key_id() -> str:
    return secrets.token_hex(4)


def _digest(text: str) -> bytes:
    """Of one length, so that a comparison does not tell the key's."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
