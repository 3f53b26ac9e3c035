"""The history through a pooler, which gives each transaction another session of the server."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from sqlalchemy import Connection, text

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.database import Database
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.postgresql_connection import STATEMENT_S
from app.storage.history.rows import History
from app.storage.journal.leases import Leases
from tests.histories import add, row
from tests.servers.pgbouncer import PROGRAM, WITHOUT, PgBouncer
from tests.servers.pooler import Pooler
from tests.servers.postgresql import PASSWORD, PostgreSQLServer
from tests.service import wait_for

LIMITS = {
    "statement_timeout": f"{STATEMENT_S}s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}
TOO_MANY = 8  # statements before the driver would prepare one

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason=WITHOUT)


def opened(url: str, connections: int = 5) -> Database:
    return Database(PostgreSQL(url, connections))


def limits(connection: Connection) -> dict[str, str]:
    return {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in LIMITS}


def prepared(database: Database) -> int:
    """How many statements are in the session after one was sent many times."""
    with database.reading() as connection:
        for _ in range(TOO_MANY):
            connection.execute(text("SELECT 1"))
        found = connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))
        number: int = found.scalar_one()
        return number


class TestTelling:
    def test_straight_to_the_server_a_session_has_limits_and_prepared_statements(
        self, postgresql: PostgreSQLServer
    ) -> None:
        with closing(opened(postgresql.database(), 1)) as database:
            with database.reading() as connection:
                assert limits(connection) == LIMITS
            assert database.write(limits) == LIMITS
            assert prepared(database) > 0

    def test_through_a_pooler_each_transaction_has_its_own_limits_and_a_session_nothing(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = postgresql.database()
        with Pooler(postgresql.port) as pooler, closing(opened(pooler.before(url), 1)) as database:
            assert database.write(limits) == LIMITS
            with database.reading() as connection:
                assert limits(connection) == dict.fromkeys(LIMITS, "0")
            assert prepared(database) == 0


def is_there(history: History) -> bool:
    with suppress(HistoryUnavailable):
        return len(history.get_history("m")) == 1
    return False


@pytest.fixture(scope="module")
def bouncer(postgresql: PostgreSQLServer) -> Iterator[PgBouncer]:
    """With two connections to the server for all."""
    with PgBouncer(postgresql, default_pool_size="2", server_login_retry="1") as running:
        yield running


@needs_pgbouncer
class TestPgBouncer:
    def test_more_writers_and_readers_than_it_has_connections_get_on(
        self, bouncer: PgBouncer
    ) -> None:
        url = bouncer.before(bouncer.postgresql.database())
        backend = PostgreSQL(url, 8)
        with closing(Database(backend)) as database:
            lease = Leases(database, backend.renewals())
            history = History(database)

            def write_and_read(number: int) -> int:
                add(history, row(f"m{number}"))
                return len(history.get_history(f"m{number}"))

            with ThreadPoolExecutor(8) as pool:
                assert [*pool.map(write_and_read, range(80))] == [1] * 80
            lease.close()

    def test_nothing_that_was_set_is_left_to_others(self, bouncer: PgBouncer) -> None:
        url = bouncer.before(bouncer.postgresql.database())
        with closing(opened(url)) as database:
            database.write(limits)
        with closing(opened(url)) as database, database.reading() as connection:
            assert limits(connection) == dict.fromkeys(LIMITS, "0")

    def test_a_statement_that_takes_too_long_ends_its_transaction(self, bouncer: PgBouncer) -> None:
        url = bouncer.before(bouncer.postgresql.database())
        with closing(opened(url)) as database:

            def slow(connection: Connection) -> None:
                connection.execute(text("SET LOCAL statement_timeout = 50"))
                connection.execute(text("SELECT pg_sleep(30)"))

            with pytest.raises(HistoryUnavailable, match="too slow"):
                database.write(slow)
            database.write(limits)

    def test_a_database_that_is_disabled_is_told_and_opened_when_it_is_not(
        self, bouncer: PgBouncer
    ) -> None:
        url = bouncer.before(bouncer.postgresql.database())
        opened(url).close()
        name = url.rpartition("/")[2]
        bouncer.command(f"DISABLE {name}")
        with closing(opened(url)) as database:
            with pytest.raises(HistoryUnavailable, match="is disabled"):
                database.check()
            bouncer.command(f"ENABLE {name}")
            database.check()

    def test_one_that_is_paused_is_given_up_soon(self, bouncer: PgBouncer) -> None:
        url = bouncer.before(bouncer.postgresql.database())
        opened(url).close()
        name = url.rpartition("/")[2]
        bouncer.command(f"PAUSE {name}")
        with closing(Database(PostgreSQL(url, 5, answer_s=0.3))) as database:
            with pytest.raises(HistoryUnavailable, match="does not answer"):
                database.check()
            bouncer.command(f"RESUME {name}")
            database.check()

    def test_while_the_server_is_away_it_says_so_and_then_goes_on(self) -> None:
        with (
            PostgreSQLServer() as server,
            PgBouncer(server, server_login_retry="1") as before,
            closing(Database(PostgreSQL(before.before(server.database()), 5, answer_s=1))) as base,
        ):
            history = History(base)
            add(history, row())
            server.stop(signal.SIGQUIT)
            for _ in range(2):
                with pytest.raises(HistoryUnavailable, match=r"cannot reach it|does not answer"):
                    history.get_history("m")
            server.start()
            wait_for(lambda: is_there(history), 30)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("/test", "/none"), "no database of the name"),
            (("postgres:", "who:"), "refuses the user or the password"),
            ((PASSWORD, "wrong"), "refuses the user or the password"),
            (("?", "?options=-cwork_mem%3D4MB&"), "takes no options"),
        ],
    )
    def test_a_wrong_address_is_told_without_the_password(
        self, bouncer: PgBouncer, change: tuple[str, str], words: str
    ) -> None:
        url = f"{bouncer.before(bouncer.postgresql.database())}?connect_timeout=5"
        with pytest.raises(StartupError, match=words) as failure:
            opened(url.replace(*change))
        assert PASSWORD not in str(failure.value)

    def test_statement_mode_is_refused(self, bouncer: PgBouncer) -> None:
        url = bouncer.postgresql.database()
        words = "pool_mode must be transaction or session"
        with (
            PgBouncer(bouncer.postgresql, pool_mode="statement") as each,
            pytest.raises(StartupError, match=words),
        ):
            opened(each.before(url))

    def test_who_waits_too_long_for_one_of_its_connections_is_told(
        self, postgresql: PostgreSQLServer
    ) -> None:
        limits = {"default_pool_size": "1", "query_wait_timeout": "1"}
        with PgBouncer(postgresql, **limits) as small:
            url = small.before(postgresql.database())
            with closing(opened(url)) as database, closing(opened(url)) as other:

                def ask_beside(_: Connection) -> None:
                    with pytest.raises(HistoryUnavailable, match="had no connection free in time"):
                        other.check()

                database.write(ask_beside)
                other.check()
