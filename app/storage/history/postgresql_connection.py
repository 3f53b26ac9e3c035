"""Connections to PostgreSQL, straight or through a pooler, that never wait for ever.

A pooler that shares connections between transactions (PgBouncer, Supavisor, pgcat, RDS Proxy) gives
each transaction another session of the server: nothing may be set for a session, and nothing be
prepared in one. Any pooler is told by what it says of the server's process, which is its own
number and no process's (the message BackendKeyData, see "Message Formats" in PostgreSQL's manual).
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
from app.storage.history.postgresql_reasons import NO_CONNECTION, has_no_connection_left

log = logging.getLogger(__name__)

OLDEST = 15
CONNECT_S = 3
STATEMENT_S = 15
LOCK_S = 10
IDLE_S = 10
"""A process that stops amid a transaction holds its locks so long, and no longer."""
ANSWER_S = STATEMENT_S + 5.0
"""When a server that does not even keep to its own limits is given up, as one that is stopped."""
PAUSE_S = 0.1
"""Between two tries to have one more connection of a server that has none left."""
SET_UP_S = 5.0
"""For the first statement of a connection: a pooler lets in also whom it has no server for."""
MIGRATION_S = 600

# Where nothing arrives any more, as behind a firewall that forgot the connection. In seconds, but
# for the last, which is in milliseconds.
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
"""Of what Prisma, asyncpg, JDBC, Doctrine and others put behind an address. Another name is not
told: it may be of a password."""


def _limits(statement_s: int, lock_s: int, idle_s: int, *, transaction: bool) -> str:
    """The statement that sets them, for a transaction or for a session."""
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
    """Gives up a server that does not answer. No limit of libpq or the server covers one that took
    a statement and then stands still."""

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
                self.close()  # its answer may still come, and is nobody's then
            raise


class PatientPool(QueuePool):
    """Where the server has no connection left, waits for one of this process.

    They are used in turn, so that one that was lost and cannot be made again comes after those that
    are there.
    """

    _is_told = False

    def connect(self) -> PoolProxiedConnection:
        until = time.monotonic() + self.timeout()
        while True:
            try:
                return super().connect()
            except psycopg.OperationalError as error:
                has_some = self.checkedin() + self.checkedout() > 0
                if not (has_some and has_no_connection_left(error) and time.monotonic() < until):
                    raise
            self._tell_once()
            time.sleep(PAUSE_S)

    def _tell_once(self) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("%s Until then those that this process has serve all.", NO_CONNECTION)


class _Storable(StrDumper):
    """NUL, which PostgreSQL's texts cannot hold, becomes the symbol for it."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))


def conninfo(url: str) -> str:
    """What libpq connects by. StartupError for an address that cannot be read."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:  # which quotes it, its password too
        unknown = (name for name in _OF_OTHERS if f'parameter: "{name}"' in str(error))
        if name := next(unknown, None):
            raise StartupError(f"DATABASE_URL: {name} is not PostgreSQL's, leave it out") from None
        raise StartupError(UNREADABLE) from None
    # A password with an @ or a / in it ends where that is, and the rest passes for another part.
    if "@" in str(given.get("host", ""))[1:] or not _PORTS.fullmatch(str(given.get("port", ""))):
        raise StartupError(UNREADABLE)
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "application_name": "memory-service",
        **_NETWORK,
    }
    return make_conninfo(**{**ours, **given, "client_encoding": "UTF8"})


def connect(info: str, answer_s: float) -> Driver:
    """Raises StartupError for a server that this cannot stand on."""
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
    """The transaction that has just begun, where the session's limits are not its own."""
    if _driver(connection).pooled:
        connection.exec_driver_sql(_OF_TRANSACTION)


def limit_migration(connection: Connection) -> None:
    """A transaction that may take long. The connection is of no use to others afterwards."""
    _driver(connection).answer_s = MIGRATION_S + 5.0
    connection.exec_driver_sql(_OF_MIGRATION)


def _driver(connection: Connection) -> Driver:
    return cast("Driver", connection.connection.dbapi_connection)
