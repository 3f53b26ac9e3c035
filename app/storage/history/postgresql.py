"""The history in PostgreSQL: its engines, and its transactions, which run side by side.

Each write has a transaction of its own at READ COMMITTED. A statement sees what was committed
before it began, and, where it had to wait for a row, the row's newest version. That is enough:
writes to one memory hold its lock until they are committed; rows that two transactions may add at
once are added with ON CONFLICT; rows that two may finish at once are locked first. SERIALIZABLE
would also undo transactions that do not disturb each other, and each of those has to be repeated.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ExceptionContext,
    QueuePool,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from app.storage.history.postgresql_connection import (
    ANSWER_S,
    LOCK_S,
    Driver,
    PatientPool,
    connect,
    conninfo,
    limit,
    limit_migration,
)
from app.storage.history.postgresql_reasons import (
    READ_ONLY_STATE,
    has_no_connection_left,
    is_away,
    reason,
    state_of,
    was_undone,
    what_the_server_said,
)
from app.storage.history.transactions import OwnTransactions, Transactions

RENEWAL_S = 5.0
GLANCE_S = 2.0
GLANCES = 2
"""How many connections serve short reads; each is free again within a millisecond or two."""
SHARES_S = 60.0
"""How long short reads share the other connections, after the server had none left for them."""
_MIGRATION_LOCK = 7_201_833_940_552_011  # any number that no other program takes


class PostgreSQL:
    """A `Backend` on a database of a PostgreSQL server."""

    name = "The history in PostgreSQL (DATABASE_URL)"

    def __init__(
        self,
        url: str,
        connections: int,
        *,
        answer_s: float = ANSWER_S,
        wait_s: float = LOCK_S,
        glance_s: float = GLANCE_S,
    ) -> None:
        """`connections`: how many connections this process opens at most, beside one for its lease
        and GLANCES. A thread waits up to `wait_s` for a free one, and up to `answer_s` for an
        answer; both limits are `glance_s` for short reads.

        The server is not asked yet. Raises StartupError for an address that cannot be read.
        """
        self._conninfo = conninfo(url)
        self._lease: Engine | None = None
        self.engine = _engine(partial(self._connect, answer_s), connections, wait_s)
        glance = partial(self._connect, glance_s)
        self._glances = _engine(glance, GLANCES, glance_s, pool=QueuePool)
        self._shares_until = -math.inf

    def transactions(self) -> Transactions:
        return self._transactions(self.engine)

    def glancing(self) -> Connection:
        """A connection for a short read. It is one of the others for SHARES_S after the server had
        no connection left for it."""
        if not self._shares():
            try:
                return self._glances.connect()
            except DBAPIError as error:
                if not has_no_connection_left(error.orig):
                    raise
                self._shares_until = time.monotonic() + SHARES_S
            except NoConnectionFree:
                if not self._shares():  # unless another thread found meanwhile that none is left
                    raise
        return self.engine.connect()

    def _shares(self) -> bool:
        return time.monotonic() < self._shares_until

    def close(self) -> None:
        self.engine.dispose()
        self._glances.dispose()

    def renewals(self) -> Transactions:
        """Transactions for renewing a lease, on a connection of their own. A renewal that takes
        long is given up before the lease ends."""
        self._lease = _engine(partial(connect, self._conninfo, RENEWAL_S), 1, GLANCE_S)
        return self._transactions(self._lease)

    def _connect(self, answer_s: float) -> Driver:
        """Connect, after the lease's connection is made, also after a restart of the server. The
        server may have too few for all, and without its lease a process cannot write."""
        if self._lease:
            with suppress(NoConnectionFree):  # a renewal uses it now
                self._lease.pool.connect().close()
        return connect(self._conninfo, answer_s)

    def _transactions(self, engine: Engine) -> Transactions:
        committed = engine.execution_options(isolation_level="READ COMMITTED")
        return OwnTransactions(committed, _migrate_alone, begin=limit, was_undone=was_undone)

    def reason(self, error: DBAPIError) -> str:
        return reason(error)

    def why_not_opened(self, error: DBAPIError) -> str:
        said = what_the_server_said(error)
        return f"{reason(error)} It said: {said}" if said else reason(error)

    def is_away(self, error: DBAPIError) -> bool:
        return is_away(error)

    def tidy(self, connection: Connection) -> None:
        """The server's autovacuum does that."""

    def keeps_erased(self, connection: Connection) -> str | None:
        return (
            "PostgreSQL's files hold erased rows until VACUUM has run and their room is used "
            "again; its write-ahead log, replicas and backups as long as they are kept."
        )

    def number_after(self, connection: Connection, column: Column[int], last: int) -> None:
        """Let the next row have the number after `last`."""
        sequence = func.pg_get_serial_sequence(column.table.name, column.name)
        connection.execute(select(func.setval(sequence, last)))


def _engine(
    creator: Callable[[], Driver],
    connections: int,
    wait_s: float,
    pool: type[QueuePool] = PatientPool,
) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        poolclass=pool,
        creator=creator,
        isolation_level="AUTOCOMMIT",  # for reads: nothing to begin and to end around each
        use_native_hstore=False,  # to look for it is a statement of each start
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_s,
        pool_pre_ping=True,  # after a restart of the server no request meets a dead connection
        hide_parameters=True,  # they are users' texts, and errors are logged
    )
    event.listen(engine, "handle_error", _leave_standby)
    return engine


def _leave_standby(context: ExceptionContext) -> None:
    """Close the connections to a server that was the primary and is a standby now, so that new ones
    may lead to the new primary. The server does not close them itself."""
    if state_of(context.original_exception) == READ_ONLY_STATE:
        context.is_disconnect = True


def _migrate_alone(connection: Connection) -> None:
    """Lock the migration for this transaction: other processes wait, and then find it done."""
    limit_migration(connection)
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
