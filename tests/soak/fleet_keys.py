"""Keys that clients of a fleet mint at one of its processes, use at all, and revoke."""

import random
from collections.abc import Callable, Sequence

from tests.model.keys import Key, Use
from tests.model.ops import Op
from tests.soak.fleet import Fleet

WITH_KEY = 0.4  # of the requests; the others come with the admin's
WITH_REVOKED = 0.1  # of those
GOOD = 6  # that are not revoked, at most
LAST = 50  # are tried once more at the end of a round


class KeyRing:
    """Bound to a user each. Safe for many threads: append is atomic."""

    def __init__(self, fleet: Fleet, users: Sequence[str], now: Callable[[], int]) -> None:
        self.keys: list[Key] = []
        self.uses: list[Use] = []
        self._fleet = fleet
        self._users = users
        self._now = now

    def mint(self, rng: random.Random) -> None:
        if len(self._good()) < GOOD:
            user = rng.choice(self._users)
            response = self._fleet.request("POST", "/keys", json={"user_id": user, "days": 1})
            if response.is_success:
                minted = response.json()
                self.keys.append(Key(minted["id"], minted["key"], user))

    def revoke(self, rng: random.Random) -> None:
        if good := self._good():
            key = rng.choice(good)
            key.revoking = min(key.revoking, self._now())
            if self._fleet.request("DELETE", f"/keys/{key.id}").is_success:
                key.revoked = min(key.revoked, self._now())

    def some(self, user: str, rng: random.Random) -> Key | None:
        """Of that user, sometimes one that was revoked; None is the admin's."""
        if rng.random() > WITH_KEY:
            return None
        keys = self.keys[-2 * GOOD :] if rng.random() < WITH_REVOKED else self._good()
        mine = [key for key in keys if key.user == user]
        return rng.choice(mine) if mine else None

    def used(self, op: Op, started: int, status: int) -> None:
        if op.by:
            self.uses.append(Use(op.by, started, self._now(), status))

    def try_all(self) -> None:
        """Each of the last ones at each process, when all is settled. What became of a revocation
        without an answer the first of them tell; then the others must say the same."""
        for key in self.keys[-LAST:]:
            for service in [*self._fleet.services] * 2:
                started = self._now()
                status = service.http.get("/jobs?limit=1", headers=key.headers).status_code
                self.uses.append(Use(key, started, self._now(), status))
                if status == 401:
                    key.revoked = min(key.revoked, self._now())

    def _good(self) -> list[Key]:
        now = self._now()
        return [key for key in self.keys if key.revoked > now]
