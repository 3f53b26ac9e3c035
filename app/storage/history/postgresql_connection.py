"""Connections to PostgreSQL, direct or through a pooler, with a limit for every wait.

A pooler that shares connections between transactions (PgBouncer, Supavisor, pgcat, RDS Proxy) gives
each transaction another session of the server. So limits have to be set for each transaction, and
no statement may be prepared. A pooler is recognised by the process id in the message BackendKeyData
(see "Message Formats" in PostgreSQL's manual): it is not the id of the server's process.
"""

import logging
import re
import time
from typing import Any, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, PoolProxiedConnection, QueuePool

from app.errors import StartupError
from app.observability.once import Once
from app.storage.history.postgresql_reasons import NO_CONNECTION, has_no_connection_left

log = logging.getLogger(__name__)

OLDEST = 15
CONNECT_S = 3
STATEMENT_S = 15
LOCK_S = 10
IDLE_S = 10
"""How long a process that stops within a transaction can hold its locks."""
ANSWER_S = STATEMENT_S + 5.0
"""After how long a server is given up that does not keep its own limits, such as a stopped one."""
PAUSE_S = 0.1
"""The pause between two attempts to connect to a server that has no connection left."""
SET_UP_S = 5.0
"""The limit of a connection's first statement: a pooler accepts clients even without a server."""
MIGRATION_S = 600

# These find a connection that is dead without notice, such as one that a firewall forgot. All are
# in seconds, but the last is in milliseconds.
_NETWORK = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

UNREADABLE = (
    "DATABASE_URL: cannot be read; a right one is postgresql://user:password@host:5432/name, where "
    "@ : / ? # % in a password are written %40 %3A %2F %3F %23 %25"
)
_PORTS = re.compile(r"(\d*,)*\d*")
_OF_OTHERS = {"pgbouncer", "supa", "connection_limit", "pool_timeout", "prepare_threshold"} | {
    *("prepared_statement_cache_size", "statement_cache_size", "schema", "currentSchema", "ssl"),
    *("serverVersion", "charset", "uselibpqcompat", "workaround"),
}
"""Parameters that Prisma, asyncpg, JDBC, Doctrine and others add to an address. An error names only
these, because another name may be part of a password."""


def _limits(statement_s: int, lock_s: int, idle_s: int, *, transaction: bool) -> str:
    """The statement that sets these limits, for a transaction or for a session."""
    values = {
        "statement_timeout": statement_s,
        "lock_timeout": lock_s,
        "idle_in_transaction_session_timeout": idle_s,
    }
    until = "true" if transaction else "false"
    calls = (f"set_config('{name}', '{seconds}s', {until})" for name, seconds in values.items())
    return f"SELECT {', '.join(calls)}"


_OF_SESSION = _limits(STATEMENT_S, LOCK_S, IDLE_S, transaction=False)
_OF_TRANSACTION = _limits(STATEMENT_S, LOCK_S, IDLE_S, transaction=True)
_OF_MIGRATION = _limits(MIGRATION_S, MIGRATION_S, MIGRATION_S, transaction=True)


class Driver(psycopg.Connection[Any]):
    """A connection that gives up a server that does not answer. No limit of libpq or of the server
    covers a server that accepts a statement and then stands still."""

    answer_s = ANSWER_S
    pooled = False
    """Whether there is a pooler before the server."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.adapters.register_dumper(str, _Storable)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = self.answer_s if timeout is None else timeout
        try:
            return super().wait(gen, interval=interval, timeout=limit)
        except psycopg.OperationalError:
            if self.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()  # else a late answer would be taken for that of the next statement
            raise


class PatientPool(QueuePool):
    """A pool that waits for one of its own connections where the server has none left.

    The connections are used in turn, so that a lost one, which cannot be made again, comes after
    the working ones.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tell = Once(log)

    def connect(self) -> PoolProxiedConnection:
        until = time.monotonic() + self.timeout()
        while True:
            try:
                return super().connect()
            except psycopg.OperationalError as error:
                has_some = self.checkedin() + self.checkedout() > 0
                if not (has_some and has_no_connection_left(error) and time.monotonic() < until):
                    raise
            self._tell(f"{NO_CONNECTION} Until then those that this process has serve all.")
            time.sleep(PAUSE_S)


class _Storable(StrDumper):
    """Replaces NUL, which PostgreSQL's texts cannot hold, by the symbol for it."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))


def conninfo(url: str) -> str:
    """The connection string for libpq. Raises StartupError for an address that cannot be read."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:  # it quotes the address with the password
        unknown = (name for name in _OF_OTHERS if f'parameter: "{name}"' in str(error))
        if name := next(unknown, None):
            raise StartupError(f"DATABASE_URL: {name} is not PostgreSQL's, leave it out") from None
        raise StartupError(UNREADABLE) from None
    # An @ or / in a password ends it, and the rest of it is read as the host or the port.
    if "@" in str(given.get("host", ""))[1:] or not _PORTS.fullmatch(str(given.get("port", ""))):
        raise StartupError(UNREADABLE)
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "application_name": "memory-service",
        **_NETWORK,
    }
    return make_conninfo(**{**ours, **given, "client_encoding": "UTF8"})


def connect(info: str, answer_s: float) -> Driver:
    """Connect. Raises StartupError for a server that the history cannot use."""
    driver = Driver.connect(info, autocommit=True)
    driver.answer_s = min(answer_s, SET_UP_S)
    try:
        _check(driver)
        found = driver.execute(f"{_OF_SESSION} WHERE pg_backend_pid() = {driver.info.backend_pid}")
        if not found.rowcount:
            driver.pooled = True
            driver.prepare_threshold = None
        driver.answer_s = answer_s
    except BaseException:
        driver.close()
        raise
    return driver


def _check(driver: Driver) -> None:
    version = driver.info.server_version // 10_000
    if version < OLDEST:
        raise StartupError(f"DATABASE_URL: PostgreSQL {OLDEST} or newer is needed, not {version}")
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StartupError(
            f"DATABASE_URL: the database's encoding is {encoding}; make one with ENCODING 'UTF8'"
        )


def limit(connection: Connection) -> None:
    """Set the limits of a transaction that has just begun, where a pooler shares the sessions."""
    if _driver(connection).pooled:
        connection.exec_driver_sql(_OF_TRANSACTION)


def limit_migration(connection: Connection) -> None:
    """Set the limits of a long transaction. The connection must not be used again afterwards."""
    _driver(connection).answer_s = MIGRATION_S + 5.0
    connection.exec_driver_sql(_OF_MIGRATION)


def _driver(connection: Connection) -> Driver:
    return cast("Driver", connection.connection.dbapi_connection)
