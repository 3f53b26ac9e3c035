"""Liveness by leases in the database, for processes on any number of hosts.

A process renews its row every few seconds, by the clock of the database. When a row was not renewed
for LEASE_S, another process may declare its process dead, and recover its intents. That process may
still live, stopped or cut off. So each of its writing transactions locks its row first: either the
transaction ends before the process is declared dead, or it finds that it was, and changes nothing.
Each row's token is higher than all earlier ones (a fencing token, see Kleppmann, Designing
Data-Intensive Applications, 2017, chapter 8).
"""

import logging
import math
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, DateTime, delete, func, insert, select, update

from app.errors import HistoryUnavailable
from app.storage.history.database import Database
from app.storage.history.schema import PROCESSES, SCHEMA_VERSION
from app.storage.history.statements import add_if_absent
from app.storage.history.transactions import Transactions
from app.storage.payloads import new_id

LEASE_S = 15.0
RENEW_S = 3.0
STEADY_S = 2 * RENEW_S
"""For so long after an outage of the database a process declares no other one dead: all of them
were cut off, and each needs the time to renew its lease."""

LOST = (
    "This process did not reach the history database for too long: others take it for dead. What "
    "it was at is settled by them, and it begins anew."
)
NOT_REACHED = "The history database was not reached for too long; ask again."
KEPT = timedelta(days=1)
"""How long the row of a dead process is kept that had nothing to be recovered. A process without a
row counts as dead, too."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


class Leases:
    """A `Liveness` by leases. A thread renews the lease of this process."""

    def __init__(
        self,
        database: Database,
        renewals: Transactions,
        *,
        lease_s: float = LEASE_S,
        renew_s: float = RENEW_S,
        steady_s: float = STEADY_S,
    ) -> None:
        """`renewals` have a connection of their own, so that they never wait for requests.

        From now on each writing transaction of `database` is fenced.
        """
        self._database = database
        self._renewals = renewals
        self._length = timedelta(seconds=lease_s)
        self._renew_s = renew_s
        self._steady_s = steady_s
        self._changing = threading.Lock()
        self._recovered: set[str] = set()  # threads of this process recover these now
        self._end = threading.Event()
        self._become(new_id())
        database.fence_writes(self._fence)
        self._renew_or_log()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    # ---- the lease of this process

    def check(self) -> None:
        if self.is_lost:
            raise HistoryUnavailable(LOST)
        if time.monotonic() > self._renewed + self._length.total_seconds():
            raise HistoryUnavailable(self._why or NOT_REACHED)

    def check_renewal(self) -> None:
        if self._why:
            raise HistoryUnavailable(self._why)
        self.check()

    def begin_anew(self) -> None:
        self._become(new_id())
        self._renew()
        log.warning("this process was taken for dead, and has begun anew")

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        mine = delete(PROCESSES).where(self._is_mine())
        try:
            with self._database.translated():
                self._renewals.run(lambda connection: connection.execute(mine))
        except HistoryUnavailable:
            log.info("the lease was not given back; it ends by itself")
        self._renewals.close()

    def _become(self, process: str) -> None:
        self.process = process
        self.token: int | None = None
        self.is_lost = False
        self._renewed = self._steady_since = -math.inf
        self._why = NOT_REACHED  # the last time, or nothing

    def _run(self) -> None:
        while not self._end.wait(self._renew_s):
            if not self.is_lost:
                self._renew_or_log()

    def _renew_or_log(self) -> None:
        try:
            self._renew()
        except HistoryUnavailable as error:
            self._why = error.detail
            log.warning("the lease of this process is not renewed: %s", error.detail)

    def _renew(self) -> None:
        with self._changing, self._database.translated():
            asked = time.monotonic()  # before the call: the lease counts from then at the latest
            if self.token is None:
                self.token = self._renewals.run(self._added)
            elif not self._renewals.run(self._prolonged):
                self.is_lost = True
                log.error("%s", LOST)
                return
            if asked > self._renewed + self._length.total_seconds():
                self._steady_since = asked
            self._renewed = asked
            self._why = ""

    def _added(self, connection: Connection) -> int:
        # Delete the rows of killed processes that had nothing to be recovered.
        old = PROCESSES.c.renewed_at < _now() - KEPT
        connection.execute(delete(PROCESSES).where(old, PROCESSES.c.recovered_by.is_(None)))
        known = {"schema_version": SCHEMA_VERSION}
        row = insert(PROCESSES).values(id=self.process, renewed_at=_now(), **known)
        token: int = connection.execute(row).inserted_primary_key[0]  # type: ignore[index]  # set
        return token

    def _prolonged(self, connection: Connection) -> bool:
        mine = update(PROCESSES).where(self._is_mine()).values(renewed_at=_now())
        return connection.execute(mine).rowcount == 1

    def _fence(self, connection: Connection, after_others: bool) -> None:
        """Lock this process's row, so that it cannot be declared dead before the transaction ends.
        With `after_others` the lock is exclusive, so that it waits for this process's other
        transactions."""
        if self.token is None:  # the database was down until now
            self._renew()
        shared = not after_others
        mine = select(PROCESSES.c.token).where(self._is_mine())
        if connection.scalar(mine.with_for_update(read=shared, key_share=shared)) is None:
            raise HistoryUnavailable(LOST)

    def _is_mine(self) -> ColumnElement[bool]:
        """The condition for this process's row, unless another process recovers it. By its id too:
        after a restore of an older backup a token may come again."""
        mine = (PROCESSES.c.token == self.token) & (PROCESSES.c.id == self.process)
        return mine & PROCESSES.c.recovered_by.is_(None)

    # ---- the leases of others

    def dead_among(self, processes: Collection[str]) -> list[str]:
        if not self._is_steady():
            return []
        with self._database.reading() as connection:
            return sorted({*processes} - self._living(connection, processes))

    @contextmanager
    def if_dead(self, process: str) -> Iterator[bool]:
        with self._changing:
            is_free = process not in self._recovered and process != self.process
            if is_free:
                self._recovered.add(process)
        if not is_free:
            yield False
            return
        try:
            dead = self._is_steady() and self._database.write(partial(self._take, process))
            yield dead
            if dead:
                ended = delete(PROCESSES).where(PROCESSES.c.id == process)
                self._database.write(lambda connection: connection.execute(ended))
        finally:
            self._recovered.discard(process)

    def _is_steady(self) -> bool:
        return time.monotonic() >= self._steady_since + self._steady_s

    def _take(self, process: str, connection: Connection) -> bool:
        """Declare `process` dead, if its lease is over and no living process recovers it. Returns
        whether this process has to recover it."""
        # A process without a row gave its lease back, or is from before a move to this database.
        known = {"schema_version": SCHEMA_VERSION}
        add_if_absent(connection, PROCESSES, {"id": process, "renewed_at": NEVER, **known})
        row = select(PROCESSES.c.recovered_by).where(PROCESSES.c.id == process, self._is_over())
        # Running transactions of that process hold shared locks on the row until they end.
        found = connection.execute(row.with_for_update()).first()
        if found is None:
            return False
        other = found.recovered_by
        if other not in (None, self.process) and self._living(connection, [other]):
            return False
        mine = update(PROCESSES).where(PROCESSES.c.id == process)
        connection.execute(mine.values(recovered_by=self.process))
        return True

    def _living(self, connection: Connection, processes: Collection[str]) -> set[str]:
        which = PROCESSES.c.id.in_(processes) & ~self._is_over()
        return {*connection.scalars(select(PROCESSES.c.id).where(which))}

    def _is_over(self) -> ColumnElement[bool]:
        """Also where its time is still to come: the database's clock was set back."""
        age = _now() - PROCESSES.c.renewed_at
        return ~age.between(-self._length, self._length)


def _now() -> ColumnElement[datetime]:
    """The current time of the database's clock, not the time when the transaction began."""
    return func.clock_timestamp(type_=DateTime(timezone=True))
