"""What only PostgreSQL does: addresses, rights, limits of time, and several who open it at once."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, text, update

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.database import Database
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.rows import History
from app.storage.history.schema import HISTORY, SCHEMA_VERSION, TABLES
from tests.databases import PostgreSQLPlace
from tests.histories import add, row
from tests.servers.postgresql import PASSWORD, PostgreSQLServer
from tests.service import wait_for

TOGETHER = 6


@pytest.fixture(scope="module")
def own() -> Iterator[PostgreSQLServer]:
    """A server that may be stopped."""
    with PostgreSQLServer() as server:
        yield server


def opened(url: str, **limits: Any) -> Database:
    return Database(PostgreSQL(url, connections=5, **limits))


class TestOpening:
    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ("postgresql://u:{password}@h:po%rt/d", "DATABASE_URL: cannot be read"),
            ("postgresql://u:{password}@h/d?odd=1", "DATABASE_URL: cannot be read"),
            ("postgresql://u:{password}@{password}@h/d", "cannot be read.*%40"),
            ("postgresql://u:{password}/{password}@h/d", "cannot be read.*%2F"),
            ("postgresql://u:{password}@h/d?pgbouncer=true", "pgbouncer is not PostgreSQL's"),
            ("postgresql://u:{password}@127.0.0.1/d?sslmode=no-verify", "see sslmode"),
            ("postgresql://who:{password}@127.0.0.1:{port}/postgres", "refuses the user or the pa"),
            ("postgresql://postgres:{password}1@127.0.0.1:{port}/postgres", "refuses the user or"),
            ("postgresql://postgres@127.0.0.1:{port}/postgres", "refuses the user or"),
            ("postgresql://postgres:{password}@127.0.0.1:{port}/none", "has no database of the na"),
            ("postgresql://postgres:{password}@127.0.0.1:{port}/a?sslmode=require", "sslmode"),
            ("postgresql://u@127.0.0.1:{port}/a?channel_binding=require", "channel_binding"),
            ("postgresql://u:{password}@127.0.0.1:1,127.0.0.1:{port}/a", "refuses the user or the"),
        ],
    )
    def test_a_wrong_address_is_told_without_the_password(
        self, postgresql: PostgreSQLServer, form: str, words: str
    ) -> None:
        with pytest.raises(StartupError, match=words) as failure:
            opened(form.format(password=PASSWORD, port=postgresql.port))
        assert PASSWORD not in str(failure.value)

    @pytest.mark.parametrize(
        ("address", "words"),
        [("127.0.0.1:1", "does not answer"), ("nowhere.invalid", "nobody knows the name")],
    )
    def test_one_that_is_away_is_told_and_opened_when_it_is_there(
        self, address: str, words: str
    ) -> None:
        with closing(opened(f"postgresql://u:{PASSWORD}@{address}/d")) as database:
            for ask in (database.check, lambda: database.write(lambda _: None)):
                with pytest.raises(HistoryUnavailable, match=words):
                    ask()

    def test_without_the_right_to_make_tables_it_says_what_to_grant(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = postgresql.database()
        postgresql.sql(url, f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
        guest = url.replace("//postgres:", "//guest:")
        with pytest.raises(StartupError, match="CREATE and USAGE on the schema"):
            opened(guest)
        postgresql.sql(url, "GRANT CREATE, USAGE ON SCHEMA public TO guest")
        opened(guest).close()

    def test_another_encoding_than_utf_8_is_refused(self, postgresql: PostgreSQLServer) -> None:
        url = postgresql.database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(StartupError, match="encoding is LATIN1"):
            opened(url)

    def test_a_newer_schema_is_refused(self, postgresql: PostgreSQLServer) -> None:
        url = postgresql.database()
        opened(url).close()
        postgresql.sql(url, "UPDATE schema_version SET version = %s", SCHEMA_VERSION + 1)
        with pytest.raises(StartupError, match="newer version"):
            opened(url)

    def test_who_has_opened_it_goes_on_while_a_newer_version_changes_it(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = postgresql.database()
        with closing(opened(url)) as database:
            postgresql.sql(url, "UPDATE schema_version SET version = version + 1")
            postgresql.sql(url, "ALTER TABLE history ADD COLUMN mood varchar DEFAULT 'calm'")
            add(History(database), row())
            assert len(History(database).get_history("m")) == 1

    def test_several_open_a_new_one_at_once(self, postgresql: PostgreSQLServer) -> None:
        url = postgresql.database()
        together = threading.Barrier(TOGETHER)

        def open_and_write(number: int) -> None:
            together.wait(30)
            with closing(opened(url)) as database:
                add(History(database), row(f"m{number}"))

        with ThreadPoolExecutor(TOGETHER) as pool:
            [*pool.map(open_and_write, range(TOGETHER))]
        assert postgresql.sql(url, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
        assert postgresql.sql(url, "SELECT count(*) FROM history") == [(TOGETHER,)]

    def test_its_tables_can_be_made_in_a_schema_of_their_own(
        self, postgresql: PostgreSQLServer
    ) -> None:
        url = postgresql.database()
        postgresql.sql(url, "CREATE SCHEMA memories")
        with closing(opened(f"{url}?options=-csearch_path%3Dmemories")) as database:
            add(History(database), row())
        found = "SELECT count(*) FROM pg_tables WHERE schemaname = 'memories'"
        assert postgresql.sql(url, found) == [(len(TABLES.tables),)]

    @pytest.mark.parametrize(
        ("others", "words"),
        [
            ("CREATE TABLE messages (id int)", 'another program.*"messages" already exists'),
            ("CREATE TABLE schema_version (installed_rank int)", "schema_version of another pro"),
            ("CREATE TABLE schema_version (version text)", "schema_version of another program"),
            (
                "CREATE TABLE schema_version AS SELECT 6 AS version",
                "schema_version of another program",
            ),
        ],
    )
    def test_tables_of_another_program_are_told_and_left_alone(
        self, postgresql: PostgreSQLServer, others: str, words: str
    ) -> None:
        url = postgresql.database()
        postgresql.sql(url, others)
        with pytest.raises(StartupError, match=words):
            opened(url)
        found = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert postgresql.sql(url, found) == [(1,)]


class TestLimits:
    def test_a_server_that_stands_still_is_given_up(self, own: PostgreSQLServer) -> None:
        url = f"{own.database()}?connect_timeout=2"
        with closing(opened(url, answer_s=0.3)) as database:
            history = History(database)
            add(history, row())
            own.halt()
            try:
                with pytest.raises(HistoryUnavailable, match="does not answer"):
                    history.get_history("m")
            finally:
                own.go_on()
            wait_for(lambda: history.get_history("m"), 30)

    def test_after_a_restart_no_request_meets_a_dead_connection(
        self, own: PostgreSQLServer
    ) -> None:
        with closing(opened(own.database())) as database:
            history = History(database)
            with ThreadPoolExecutor(5) as pool:
                [*pool.map(lambda n: add(history, row(f"{n}")), range(20))]
            own.stop(signal.SIGQUIT)
            own.start()
            with ThreadPoolExecutor(5) as pool:
                [*pool.map(lambda n: add(history, row(f"again {n}")), range(20))]

    def test_a_slow_statement_is_told(self, postgresql_place: PostgreSQLPlace) -> None:
        with closing(opened(postgresql_place.url)) as database:

            def slow(connection: Connection) -> None:
                connection.execute(text("SET LOCAL statement_timeout = 50"))
                connection.execute(text("SELECT pg_sleep(30)"))

            with pytest.raises(HistoryUnavailable, match="too slow"):
                database.write(slow)

    def test_who_glances_is_soon_told_that_it_takes_longer(
        self, postgresql_place: PostgreSQLPlace
    ) -> None:
        backend = PostgreSQL(postgresql_place.url, connections=1, glance_s=0.1)
        with (
            closing(Database(backend)) as database,
            pytest.raises(HistoryUnavailable),
            database.glance() as connection,
        ):
            connection.execute(text("SELECT pg_sleep(30)"))

    def test_when_all_connections_are_at_work_who_comes_is_told(
        self, postgresql_place: PostgreSQLPlace
    ) -> None:
        backend = PostgreSQL(postgresql_place.url, connections=1, wait_s=0.1)
        with closing(Database(backend)) as database:
            go = threading.Event()
            begun = threading.Event()

            def hold(connection: Connection) -> None:
                begun.set()
                go.wait(30)

            with ThreadPoolExecutor() as pool:
                holding = pool.submit(database.write, hold)
                begun.wait(30)
                with pytest.raises(HistoryUnavailable, match="too slow"):
                    database.check()
                with database.glance() as connection:
                    assert connection.scalar(text("SELECT 1")) == 1
                go.set()
                holding.result(30)

    def test_two_that_wait_for_each_other_both_get_on(
        self, postgresql_place: PostgreSQLPlace
    ) -> None:
        postgresql_place.empty()
        with closing(opened(postgresql_place.url)) as database:
            history = History(database)
            add(history, row("a"), row("b"))
            first_held = threading.Barrier(2)
            tries = []

            def change(order: str) -> None:
                def work(connection: Connection) -> None:
                    tries.append(order)
                    for id_ in order:
                        mine = HISTORY.c.memory_id == id_
                        connection.execute(update(HISTORY).where(mine).values(role=order))
                        if len(tries) <= 2 and id_ == order[0]:
                            first_held.wait(30)

                database.write(work)

            with ThreadPoolExecutor() as pool:
                [*pool.map(change, ["ab", "ba"])]
            assert len(tries) > 2
            [role] = {history.get_history(id_)[0]["role"] for id_ in "ab"}
            assert role in ("ab", "ba")
