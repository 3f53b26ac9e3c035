"""What only PostgreSQL does: connections that never wait for ever, one process that makes tables.

Every write has a transaction of its own, at READ COMMITTED: writes to the same memory come one
after the other by locks that are held until they are committed, what two may want to add at once is
added by ON CONFLICT, and what two may want to finish is locked by its row first. A statement sees
what was committed before it began, and where it has waited for a row, that row as it is then.
SERIALIZABLE would undo transactions that do not disturb each other, and every one that is undone
has to be tried again.
"""

from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumper
from sqlalchemy import Column, Connection, Engine, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from app.errors import StartupError
from app.storage.history.postgresql_reasons import is_away, reason, was_undone
from app.storage.history.transactions import OwnTransactions, Transactions

OLDEST = 15
CONNECT_S = 3
STATEMENT_S = 15
LOCK_S = 10
IDLE_S = 10
"""A process that stops amid a transaction holds its locks so long, and no longer."""
ANSWER_S = STATEMENT_S + 5.0
"""When a server that does not even keep to its own limits is given up, as one that is stopped."""
RENEWAL_S = 5.0
GLANCE_S = 2.0
GLANCES = 2
"""Connections: each is free again within a millisecond or two."""
MIGRATION_S = 600

# Where nothing arrives any more, as behind a firewall that forgot the connection. In seconds, but
# for the last, which is in milliseconds.
_NETWORK = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_LIMITS = (
    f"SELECT set_config('statement_timeout', '{STATEMENT_S}s', false),"
    f" set_config('lock_timeout', '{LOCK_S}s', false),"
    f" set_config('idle_in_transaction_session_timeout', '{IDLE_S}s', false)"
)
_LIMITS_OF_MIGRATION = (
    f"SELECT set_config('statement_timeout', '{MIGRATION_S}s', true),"
    f" set_config('lock_timeout', '{MIGRATION_S}s', true),"
    f" set_config('idle_in_transaction_session_timeout', '{MIGRATION_S}s', true)"
)
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
        """`connections`: how many this process opens at most, beside the one of its lease and
        GLANCES. Who finds them all at work waits for up to `wait_s`, and for an answer up to
        `answer_s`; who glances, for each up to `glance_s`.

        Nothing is asked yet. StartupError for an address that cannot be read.
        """
        self._conninfo = _conninfo(url)
        self.engine = self._engine(connections, answer_s, wait_s)
        self.glances = self._engine(GLANCES, glance_s, glance_s)

    def transactions(self) -> Transactions:
        return self._transactions(self.engine)

    def renewals(self) -> Transactions:
        """For a lease: on a connection of their own, which is given up before the lease ends."""
        return self._transactions(self._engine(1, RENEWAL_S, RENEWAL_S))

    def _engine(self, connections: int, answer_s: float, wait_s: float) -> Engine:
        return create_engine(
            "postgresql+psycopg://",
            creator=partial(self._connect, answer_s),
            isolation_level="AUTOCOMMIT",  # for reads: nothing to begin and to end around each
            use_native_hstore=False,  # to look for it is a statement of each start
            pool_size=connections,
            max_overflow=0,
            pool_timeout=wait_s,
            pool_use_lifo=True,
            pool_pre_ping=True,  # after a restart of the server no request meets a dead connection
            hide_parameters=True,  # they are users' texts, and errors are logged
        )

    def _transactions(self, engine: Engine) -> Transactions:
        committed = engine.execution_options(isolation_level="READ COMMITTED")
        return OwnTransactions(committed, _migrate_alone, was_undone=was_undone)

    def reason(self, error: DBAPIError) -> str:
        return reason(error)

    def why_not_opened(self, error: DBAPIError) -> str:
        said = str(error.orig).strip().partition("\n")[0]
        return f"{reason(error)} It said: {said}"

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

    def _connect(self, answer_s: float) -> psycopg.Connection[Any]:
        connection = _Connection.connect(self._conninfo, autocommit=True)
        connection.answer_s = answer_s
        try:
            _check(connection)
            connection.execute(_LIMITS)
        except BaseException:
            connection.close()
            raise
        return connection


class _Connection(psycopg.Connection[Any]):
    """Gives up a server that does not answer. No limit of libpq or the server covers one that took
    a statement and then stands still."""

    answer_s = ANSWER_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.adapters.register_dumper(str, _Storable)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = self.answer_s if timeout is None else timeout
        try:
            return super().wait(gen, interval=interval, timeout=limit)
        except psycopg.OperationalError:
            if self.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()  # its answer may still come, and is nobody's then
            raise


class _Storable(StrDumper):
    """NUL, which PostgreSQL's texts cannot hold, becomes the symbol for it."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))


def _conninfo(url: str) -> str:
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # which quotes it, its password too
        raise StartupError(
            "DATABASE_URL: cannot be read; a right one is postgresql://user:password@host:5432/"
            "name, where @ : / ? # % in a password are written %40 %3A %2F %3F %23 %25"
        ) from None
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "application_name": "memory-service",
        **_NETWORK,
    }
    return make_conninfo(**{**ours, **given, "client_encoding": "UTF8"})


def _check(connection: psycopg.Connection[Any]) -> None:
    """Raises StartupError for a server that this cannot stand on."""
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise StartupError(f"DATABASE_URL: PostgreSQL {OLDEST} or newer is needed, not {version}")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StartupError(
            f"DATABASE_URL: the database's encoding is {encoding}; make one with ENCODING 'UTF8'"
        )


def _migrate_alone(connection: Connection) -> None:
    """Whoever comes meanwhile waits, and finds it done."""
    driver: Any = connection.connection.dbapi_connection
    driver.answer_s = MIGRATION_S + 5.0
    connection.exec_driver_sql(_LIMITS_OF_MIGRATION)
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
