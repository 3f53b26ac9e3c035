"""Listings in a fleet: a listing never shows a part of what another process deletes by scope.

After each part that a reader has read, and before it gives the part away, it asks the database for
deletions. A deletion that the part may have missed memories of has a row then: it is running, or it
ended after the reading began. The database's clock measures how long ago the deletion ended, and
this process's clock how long ago the reading began, so that the two clocks are never compared.

While the database does not answer, or a standby answers that lags behind, readers continue where
they know of no running deletion. Then they may show a part of what is being deleted.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from app.errors import HistoryUnavailable, ServiceBusy
from app.security.scopes import Scope, overlap
from app.storage.history.database import Database
from app.storage.history.deletions import KEPT_S, Deletions, Found
from app.storage.listings import BEING_DELETED, WAIT_S, Listing, Listings

PAUSES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The pauses of a waiting reader before it asks again; the last one is repeated."""
SLACK_S = 1.0
"""How far the database's clock may jump, for example when another server takes over."""
REST_S = 5.0
"""How long the database is not asked after it failed to answer."""

log = logging.getLogger(__name__)


class SharedListings(Listings):
    """Listings that also heed the deletions of other processes."""

    def __init__(
        self, database: Database, seconds: float = WAIT_S, *, rest_s: float = REST_S
    ) -> None:
        super().__init__(seconds)
        self._elsewhere = Elsewhere(Deletions(database), seconds, rest_s)

    def open(self, scope: Scope) -> Listing:
        self._elsewhere.wait(scope)
        return SharedListing(super().open(scope), self._elsewhere)


class SharedListing(Listing):
    def __init__(self, here: Listing, elsewhere: "Elsewhere") -> None:
        super().__init__(here.scope)
        self._here = here
        self._elsewhere = elsewhere
        self._whole_until = time.monotonic()

    def is_broken(self) -> bool:
        if self._here.is_broken():
            return True
        asked = time.monotonic()
        met = self._elsewhere.met(self.scope, self._whole_until)
        if met is False:
            self._whole_until = asked
        return self._elsewhere.is_known(self.scope) if met is None else met


@dataclass
class Seen:
    """A deletion, with times of this process's clock."""

    scope: Scope
    since: float
    """When it was first seen."""
    over: float = math.inf
    """When it was first seen to have ended."""


class Elsewhere:
    """The deletions of a fleet, as this process has seen them. Safe for many threads."""

    def __init__(self, deletions: Deletions, seconds: float, rest_s: float) -> None:
        """`seconds`: how long readers wait for the end of a deletion, counted from when it was
        first seen. After that they fail at once, so that they do not occupy all threads."""
        self._deletions = deletions
        self._seconds = seconds
        self._rest_s = rest_s
        self._seen: dict[int, Seen] = {}
        self._changing = threading.Lock()
        self._rests_until = -math.inf

    def wait(self, scope: Scope) -> None:
        """Wait until no deletion within `scope` runs.

        Raises ServiceBusy where one runs for too long, and HistoryUnavailable where the database
        does not answer while one was known to run.
        """
        if self._at_work(scope) is None:  # nearly always
            return
        for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
            self._look(scope, time.monotonic())
            since = self._at_work(scope)
            if since is None:
                return
            if time.monotonic() > since + self._seconds:
                raise ServiceBusy(BEING_DELETED)
            time.sleep(pause_s)

    def met(self, scope: Scope, since: float) -> bool | None:
        """Whether a deletion within `scope` runs, or ended after `since`; None where the database
        does not answer."""
        now = time.monotonic()
        if now < self._rests_until:
            return None
        if now > since + KEPT_S - SLACK_S:  # rows of deletions since then may be gone
            return True
        if self._rests_until > -math.inf:
            self._rests_until = now + self._rest_s  # one thread asks, and the others go on
        try:
            met = self._look(scope, since)
        except HistoryUnavailable as error:
            if self._rests_until == -math.inf:  # said once, not by all who ask meanwhile
                log.warning("the deletions of other processes are not known: %s", error.detail)
            self._rests_until = time.monotonic() + self._rest_s
            return None
        self._rests_until = -math.inf
        return met

    def is_known(self, scope: Scope) -> bool:
        """Whether a deletion within `scope` was seen to run, by what was last read."""
        return self._at_work(scope) is not None

    def _at_work(self, scope: Scope) -> float | None:
        """Since when a deletion within `scope` was seen to run, by what was last read; None where
        none was."""
        with self._changing:
            mine = (seen for seen in self._seen.values() if overlap(scope, seen.scope))
            return min((seen.since for seen in mine if seen.over == math.inf), default=None)

    def _look(self, scope: Scope, since: float) -> bool:
        found = self._deletions.meeting(scope, time.monotonic() - since + SLACK_S)
        now = time.monotonic()
        with self._changing:
            self._note(scope, found, now)
            return any(self._is_met(one, now - since, since) for one in found)

    def _note(self, scope: Scope, found: Sequence[Found], now: float) -> None:
        there = {one.number for one in found}
        for number, seen in [*self._seen.items()]:
            at_work = seen.over == math.inf
            # A deletion that still ran would have been found.
            ended = at_work and number not in there and overlap(scope, seen.scope)
            if ended or seen.over < now - KEPT_S:
                del self._seen[number]
        for one in found:
            seen = self._seen.setdefault(one.number, Seen(one.scope, now))
            if one.ended_s is not None:
                seen.over = min(seen.over, now)

    def _is_met(self, one: Found, elapsed_s: float, since: float) -> bool:
        """Whether the deletion concerns a listing that began at `since`. It does not where it was
        seen to have ended before, even within the slack."""
        if one.ended_s is None:
            return True
        return one.ended_s <= elapsed_s + SLACK_S and self._seen[one.number].over >= since
