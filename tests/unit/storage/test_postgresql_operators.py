"""PostgreSQL as operators have it: roles with settings and limits of their own, a standby instead
of the primary, sessions that are cut off."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psycopg
import pytest
from sqlalchemy import select, text

from app.errors import HistoryUnavailable
from app.storage.history.database import Database
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.rows import History
from app.storage.journal.leases import Leases
from tests.histories import add, row
from tests.servers.postgresql import PASSWORD, PostgreSQLServer
from tests.service import wait_for


def opened(url: str) -> Database:
    return Database(PostgreSQL(url, connections=5))


def a_role(server: PostgreSQLServer, name: str, options: str = "") -> str:
    """The address of a database of its own, which it owns."""
    server.sql("postgres", f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {options}")
    return server.database(f"OWNER {name}").replace("//postgres:", f"//{name}:")


def cut_off(server: PostgreSQLServer, role: str) -> None:
    """End all sessions of a role, as an administrator or a timeout does."""
    ended = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE usename = %s"
    server.sql("postgres", ended, role)


def read_only(server: PostgreSQLServer, role: str, value: str) -> None:
    """For the sessions that are there too."""
    server.sql("postgres", f"ALTER ROLE {role} SET default_transaction_read_only = {value}")
    cut_off(server, role)


def test_settings_of_the_role_change_nothing(postgresql: PostgreSQLServer) -> None:
    url = a_role(postgresql, "particular")
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '1s'",
        "idle_session_timeout = '1s'",
        "client_encoding = 'LATIN1'",
        "DateStyle = 'German'",
        "standard_conforming_strings = off",
    ):
        postgresql.sql(url, f"ALTER ROLE particular SET {setting}")
    with closing(opened(url)) as database:
        history = History(database)
        with ThreadPoolExecutor(5) as pool:
            [*pool.map(lambda n: add(history, row(f"茶 {n}")), range(20))]
        with database.reading() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "15s"
        cut_off(postgresql, "particular")
        assert len(history.get_history("茶 7")) == 1


class TestReadOnly:
    def test_reads_go_on_writes_are_told_and_go_on_on_new_connections(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "demoted")
        with closing(opened(url)) as database:
            history = History(database)
            add(history, row())
            read_only(postgresql, "demoted", "on")
            for _ in range(2):
                with pytest.raises(HistoryUnavailable, match="is read-only"):
                    add(history, row("other"))
            assert len(history.get_history("m")) == 1
            # As after a failover: who holds on to its connections stays where it was.
            postgresql.sql("postgres", "ALTER ROLE demoted SET default_transaction_read_only = off")
            with suppress(HistoryUnavailable):
                add(history, row("first"))
            add(history, row("other"))

    def test_one_that_is_read_only_at_the_start_is_read_and_waited_for(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "standby")
        opened(url).close()
        read_only(postgresql, "standby", "on")
        backend = PostgreSQL(url, 5)
        with closing(Database(backend)) as database:
            lease = Leases(database, backend.renewals(), renew_s=0.05)
            database.check()
            with pytest.raises(HistoryUnavailable, match="is read-only"):
                lease.check_renewal()
            read_only(postgresql, "standby", "off")
            wait_for(lambda: lease.token)
            database.write(lambda _: lease.check_renewal())
            lease.close()


def glanced(database: Database) -> int | None:
    with database.glance() as connection:
        return connection.scalar(select(1))


def is_renewed(lease: Leases) -> bool:
    with suppress(HistoryUnavailable):
        lease._renew()
        return True
    return False


class TestFewConnections:
    def test_where_the_server_has_fewer_connections_those_there_are_serve_all(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "few", "CONNECTION LIMIT 3")
        with closing(Database(PostgreSQL(url, 10))) as database:
            history = History(database)
            with ThreadPoolExecutor(10) as pool:
                [*pool.map(lambda n: add(history, row(f"m{n}")), range(60))]
            assert len(history.get_history("m59")) == 1
            with ThreadPoolExecutor(10) as pool:
                assert [*pool.map(lambda _: glanced(database), range(60))] == [1] * 60

    def test_who_glances_takes_one_that_others_have_made(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "single", "CONNECTION LIMIT 1")
        with closing(Database(PostgreSQL(url, 10))) as database:
            database.check()
            assert glanced(database) == 1

    def test_one_that_is_lost_and_cannot_be_made_again_keeps_nobody_from_the_others(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "one_lost", "CONNECTION LIMIT 2")
        there = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'one_lost'"
        with closing(Database(PostgreSQL(url, 2, wait_s=5))) as database:
            with database.reading() as lost:
                with database.reading():
                    pass
                lost.invalidate()
            wait_for(lambda: postgresql.sql("postgres", there) == [(1,)], 30)
            with psycopg.connect(url):
                database.check()

    def test_after_a_restart_a_lease_has_its_connection_before_requests_have_theirs(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = a_role(postgresql, "crowded", "CONNECTION LIMIT 1")
        backend = PostgreSQL(url, 4, wait_s=0.2)
        with closing(Database(backend)) as database:
            lease = Leases(database, backend.renewals(), renew_s=3600)
            wait_for(lambda: is_renewed(lease), 30)  # the server has seen the end of the opening
            cut_off(postgresql, "crowded")
            with pytest.raises(HistoryUnavailable, match="raise max_connections"):
                database.check()
            assert is_renewed(lease)
            lease.close()

    def test_who_finds_all_taken_by_others_is_told(self, postgresql: PostgreSQLServer) -> None:
        url = a_role(postgresql, "shut_out", "CONNECTION LIMIT 0")
        with (
            closing(opened(url)) as database,
            pytest.raises(HistoryUnavailable, match="raise max_connections"),
        ):
            database.check()
