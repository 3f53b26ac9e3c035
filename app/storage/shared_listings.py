"""Listings in a fleet: none shows a part of what another process deletes by its scope.

Who reads asks the database after each part that was read, before it is given. A deletion of which a
part was missing has a row by then: it is at work, or it ended since the reading began. How long ago
that was each clock says for itself, the database's of the deletion, this process's of the reading,
so no two are compared.

While the database does not answer, or a standby does that lags, readers go on where they know of no
deletion at work: then a part may be shown of one that is amid its calls, or was cut off there.
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
"""Between looks; the last one again and again."""
SLACK_S = 1.0
"""By which the database's clock may jump, as when another server takes its place."""
REST_S = 5.0
"""After the database failed to answer, until somebody asks it again."""

log = logging.getLogger(__name__)


class SharedListings(Listings):
    """Also meets the deletions of other processes."""

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
        return met is True


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
        """`seconds`: for how long after one was first seen at work readers wait for its end. From
        then on they are told at once, so that it does not take all threads."""
        self._deletions = deletions
        self._seconds = seconds
        self._rest_s = rest_s
        self._seen: dict[int, Seen] = {}
        self._changing = threading.Lock()
        self._rests_until = -math.inf

    def wait(self, scope: Scope) -> None:
        """Until all of `scope` that were seen at work are over.

        Raises ServiceBusy where one goes on for too long, HistoryUnavailable where nobody knows.
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
        """Whether one deletes in `scope`, or has done so since that time; None where the database
        does not tell."""
        now = time.monotonic()
        if now < self._rests_until:
            return None
        if now > since + KEPT_S - SLACK_S:  # not all that took place since is known
            return True
        if self._rests_until > -math.inf:
            self._rests_until = now + self._rest_s  # one tries, and the others go on
        try:
            met = self._look(scope, since)
        except HistoryUnavailable as error:
            if self._rests_until == -math.inf:  # said once, not by all who ask meanwhile
                log.warning("the deletions of other processes are not known: %s", error.detail)
            self._rests_until = time.monotonic() + self._rest_s
            return None
        self._rests_until = -math.inf
        return met

    def _at_work(self, scope: Scope) -> float | None:
        """Since when, of those that were seen last."""
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
            # Were it at work still, it would have been found.
            ended = at_work and number not in there and overlap(scope, seen.scope)
            if ended or seen.over < now - KEPT_S:
                del self._seen[number]
        for one in found:
            seen = self._seen.setdefault(one.number, Seen(one.scope, now))
            if one.ended_s is not None:
                seen.over = min(seen.over, now)

    def _is_met(self, one: Found, elapsed_s: float, since: float) -> bool:
        """What was over before a listing began is none of its concern, even within the slack."""
        if one.ended_s is None:
            return True
        return one.ended_s <= elapsed_s + SLACK_S and self._seen[one.number].over >= since
