"""What does a key cost? Microseconds to tell whose a key is, beside an HMAC of the same length: by
its signature alone, and with the look at the history database that every request takes.

python benchmarks/keys.py
"""

import hashlib
import hmac
import tempfile
import time
import timeit
from pathlib import Path

from app.config import prepare_environment

prepare_environment(Path(tempfile.mkdtemp()))  # before mem0 is imported

from app.memory.keys import KeyService  # noqa: E402
from app.security.keys import Grant, Keys, new_key_id  # noqa: E402
from app.security.principal import Principal  # noqa: E402
from app.storage.history.database import Database  # noqa: E402
from app.storage.history.issued import IssuedKeys  # noqa: E402
from app.storage.history.sqlite import SQLite  # noqa: E402

ADMIN = "an-admin-key-of-the-benchmark-0123456789"
ROUNDS, TIMES = 7, 5000


def microseconds(statement: str, names: dict[str, object]) -> float:
    """The best of several rounds: noise only ever adds."""
    return min(timeit.repeat(statement, globals=names, repeat=ROUNDS, number=TIMES)) / TIMES * 1e6


def main() -> None:
    started = time.perf_counter()
    keys = Keys(ADMIN)
    derived_ms = (time.perf_counter() - started) * 1000
    grant = Grant(Principal(new_key_id(), {"user_id": "alice"}), time.time() + 3600)
    names: dict[str, object] = {"keys": keys, "admin": ADMIN, "scoped": keys.mint(*grant)}
    names |= {"hmac": hmac, "hashlib": hashlib}
    floor = microseconds("hmac.digest(admin.encode(), scoped.encode(), 'sha256')", names)
    print(f"deriving the signing key, once at start: {derived_ms:.0f} ms")
    print(f"one HMAC-SHA256 of a key's length: {floor:.1f} us")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(SQLite(Path(folder) / "history.db"))
        issued = IssuedKeys(database)
        issued.add(grant)
        names["service"] = KeyService(keys, issued)
        for kind, statement in [
            ("admin key", "service.principal(admin)"),
            ("scoped key, its signature", "keys.open(scoped)"),
            ("scoped key", "service.principal(scoped)"),
        ]:
            cost = microseconds(statement, names)
            print(f"{kind}: {cost:.1f} us, {cost / floor:.0f} times that")
        database.close()


if __name__ == "__main__":
    main()
