"""What does a key cost? Microseconds to tell whose a key is, beside an HMAC of the same length.

python benchmarks/keys.py
"""

import hashlib
import hmac
import time
import timeit

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal

ADMIN = "an-admin-key-of-the-benchmark-0123456789"
ROUNDS, TIMES = 7, 5000


def microseconds(statement: str, names: dict[str, object]) -> float:
    """The best of several rounds: noise only ever adds."""
    return min(timeit.repeat(statement, globals=names, repeat=ROUNDS, number=TIMES)) / TIMES * 1e6


def main() -> None:
    started = time.perf_counter()
    keys = Keys(ADMIN)
    derived_ms = (time.perf_counter() - started) * 1000
    scoped = keys.mint(Principal(new_key_id(), {"user_id": "alice"}), time.time() + 3600)
    names = {"keys": keys, "admin": ADMIN, "scoped": scoped, "hmac": hmac, "hashlib": hashlib}
    floor = microseconds("hmac.digest(admin.encode(), scoped.encode(), 'sha256')", names)
    print(f"deriving the signing key, once at start: {derived_ms:.0f} ms")
    print(f"one HMAC-SHA256 of a key's length: {floor:.1f} us")
    for kind, statement in [
        ("admin", "keys.principal(admin)"),
        ("scoped", "keys.principal(scoped)"),
    ]:
        cost = microseconds(statement, names)
        print(f"{kind} key: {cost:.1f} us, {cost / floor:.0f} times that")


if __name__ == "__main__":
    main()
