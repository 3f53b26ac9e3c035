"""API keys: the admin key, and scoped keys, which are signed and so need not be stored.

A scoped key carries its id, its scope, its mode and its end. Its signature is made with a secret
that scrypt (RFC 7914) derives from the admin key, once at start. Without scrypt the holder of a
scoped key could guess admin keys offline, by trying them on the signature. The parameters are those
that OWASP gave for passwords in 2024: N=2^14, r=8, p=5.
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

PREFIX = "mem_"  # people, and scanners for leaked secrets, recognise a key by it
_SALT = b"memory-service-api scoped keys 1"
_SCRYPT = {"n": 2**14, "r": 8, "p": 5, "maxmem": 2**26, "dklen": 32}


MAX_DAYS, DEFAULT_DAYS = 3650, 90
DAY_S = 24 * 3600


class Grant(NamedTuple):
    """The principal that a key stands for, and when the key expires."""

    principal: Principal
    ends_at: float
    """Seconds since 1970."""


class WrongKey(Exception):
    """The key is unknown, revoked or expired; the text says which. Of an unknown key it says no
    more."""


class Keys:
    """Mints scoped keys, and finds the principal of a key. Making one of these takes 0.2 s, for
    scrypt."""

    def __init__(self, admin_key: str, revoked: Collection[str] = ()) -> None:
        self._admin = _digest(admin_key)
        self._revoked = frozenset(revoked)
        secret = hashlib.scrypt(admin_key.encode(), salt=_SALT, **_SCRYPT)
        self._signer = URLSafeSerializer(
            secret, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )

    def mint(self, principal: Principal, ends_at: float) -> str:
        """A key for `principal`, valid until `ends_at` (seconds since 1970)."""
        return PREFIX + str(
            self._signer.dumps([principal.id, principal.scope, principal.read_only, int(ends_at)])
        )

    def open(self, key: str) -> Grant:
        """The grant of `key`. Raises WrongKey, also for a key in REVOKED_KEYS."""
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
    """A hash of `text`. All hashes are of one length, so comparing two does not tell the length of
    the admin key."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
